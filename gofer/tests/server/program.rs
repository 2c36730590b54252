//! The program `gofer serve`.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use lisafs::backend::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketType};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::common::client::{Client, Pathway};
use crate::common::until;

fn gofer() -> Command {
    Command::new(env!("CARGO_BIN_EXE_gofer"))
}

fn served() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("f"), "data").unwrap();
    dir
}

/// A server that listens at `socket`.
fn listen(dir: &Path, socket: &Path) -> Child {
    let child = gofer().arg("serve").arg("--socket").arg(socket).arg(dir).stderr(Stdio::piped()).spawn().unwrap();
    until("a connection", || UnixStream::connect(socket).is_ok());
    child
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

#[test]
fn serves_one_client_and_ends_with_it() {
    let dir = served();
    let (ours, theirs) = UnixStream::pair().unwrap();
    rustix::io::fcntl_setfd(&theirs, rustix::io::FdFlags::empty()).unwrap();
    let mut command = gofer();
    command.args(["serve", "--read-only", "--fd", &theirs.as_fd().as_raw_fd().to_string()]).arg(dir.path());
    let mut child = command.process_group(0).spawn().unwrap();
    drop(theirs);
    let mut client = Client::new(ours.into());
    let root = client.mount();
    let file = client.reach(root, &[b"f"]);
    assert_eq!(client.open(file, libc::O_RDWR).unwrap_err(), Errno::ROFS);
    let open = client.open(file, libc::O_RDONLY).unwrap();
    assert_eq!(client.read(open, 0, 10).unwrap(), b"data");
    drop(client);
    assert!(child.wait().unwrap().success());
}

#[test]
fn serves_all_who_connect_and_stops_when_asked() {
    for asked in [Signal::TERM, Signal::INT] {
        let dir = served();
        let socket = dir.path().join("socket");
        let mut child = listen(dir.path(), &socket);
        let mut clients: Vec<Client> =
            (0..3).map(|_| Client::new(UnixStream::connect(&socket).unwrap().into())).collect();
        for client in &mut clients {
            let root = client.mount();
            client.reach(root, &[b"f"]);
        }
        signal(&child, asked);
        assert!(child.wait().unwrap().success());
        assert!(clients[0].exchange(1, b"").is_err());
        assert!(!socket.exists());
    }
}

#[test]
fn serves_the_client_on_stdin() {
    let dir = served();
    let (ours, theirs) = UnixStream::pair().unwrap();
    let mut child = gofer().args(["serve", "--fd", "0"]).arg(dir.path()).stdin(OwnedFd::from(theirs)).spawn().unwrap();
    let mut client = Client::new(ours.into());
    let root = client.mount();
    client.reach(root, &[b"f"]);
    drop(client);
    assert!(child.wait().unwrap().success());
}

#[test]
fn stops_with_a_client_that_stays() {
    let dir = served();
    let (ours, theirs) = UnixStream::pair().unwrap();
    rustix::io::fcntl_setfd(&theirs, rustix::io::FdFlags::empty()).unwrap();
    let mut child =
        gofer().args(["serve", "--fd", &theirs.as_fd().as_raw_fd().to_string()]).arg(dir.path()).spawn().unwrap();
    drop(theirs);
    let mut client = Client::new(ours.into());
    client.mount();
    let _channel = client.channel().unwrap();
    signal(&child, Signal::TERM);
    assert!(child.wait().unwrap().success());
}

#[test]
fn new_files_have_the_mode_the_client_wants() {
    let dir = served();
    let socket = dir.path().join("socket");
    let mut child = listen(dir.path(), &socket);
    let mut client = Client::new(UnixStream::connect(&socket).unwrap().into());
    let root = client.mount();
    let (inode, _) = client.create(root, b"new", 0o666).unwrap();
    assert_eq!(inode.stat.mode, 0o100_666);
    signal(&child, Signal::TERM);
    child.wait().unwrap();
}

/// What the program says when it cannot do what it is told.
fn error_line(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(!output.status.success());
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(!text.contains("panicked"), "{text}");
    text
}

#[test]
fn says_in_one_line_what_is_wrong() {
    let dir = served();
    let (file, socket) = (dir.path().join("f"), dir.path().join("socket"));
    let serve = |to: &str, place: &Path, dir: &Path| error_line(gofer().args(["serve", to]).arg(place).arg(dir));
    for (text, word) in [
        (serve("--fd", Path::new("999"), dir.path()), "999"),
        (serve("--fd", Path::new("0"), dir.path()), "--fd 0"),
        (serve("--fd", Path::new("-1"), dir.path()), "-1"),
        (serve("--socket", &socket, Path::new("/does/not/exist")), "/does/not/exist"),
        (serve("--socket", Path::new("/does/not/exist"), dir.path()), "/does/not/exist"),
        (serve("--socket", &file, dir.path()), "not a socket"),
        (
            error_line(gofer().args(["serve", "--log-file", "/", "--socket"]).arg(&socket).arg(dir.path())),
            "--log-file /",
        ),
    ] {
        assert!(text.contains(word) && text.trim_end().lines().count() == 1, "{text}");
    }
    assert_eq!(std::fs::read(&file).unwrap(), b"data");
    for arguments in [
        &["serve"][..],
        &["serve", "/"],
        &["bogus"],
        &[],
        &["serve", "--fd", "x", "/"],
        &["serve", "--fd", "0", "--log", "inof", "/"],
    ] {
        error_line(gofer().args(arguments));
    }
}

#[test]
fn takes_over_a_socket_only_from_the_dead() {
    let dir = served();
    let socket = dir.path().join("socket");
    // Left over by somebody. Nobody has ever listened there: a child that another test starts would go on with it for a
    // moment.
    let stale = rustix::net::socket(AddressFamily::UNIX, SocketType::STREAM, None).unwrap();
    rustix::net::bind(&stale, &SocketAddrUnix::new(&socket).unwrap()).unwrap();
    let mut first = listen(dir.path(), &socket);
    let text = error_line(gofer().args(["serve", "--socket"]).arg(&socket).arg(dir.path()));
    assert!(text.contains("listens there"), "{text}");
    // One that was put there in the meantime is not removed.
    std::fs::remove_file(&socket).unwrap();
    let other = UnixListener::bind(&socket).unwrap();
    signal(&first, Signal::TERM);
    assert!(first.wait().unwrap().success());
    assert!(socket.exists());
    drop(other);
}
