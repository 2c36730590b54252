//! The server itself.

use std::fs;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use e2e::mount::Mount;
use e2e::volumes::VolumeServer;
use e2e::{bins, check, process, scratch, wait};
use gofer::volume::{Control, Mount as Place, Volume};
use lisafs::client::{Client, ClientOptions, Root};
use rustix::process::Signal;

const LIMIT: Duration = Duration::from_secs(30);

/// Names for how many seconds idle connections are looked at; `cargo xtask kill-volumes` sets it.
const IDLE: &str = "VOLUME_IDLE";

fn place() -> Place<'static> {
    Place { path: "/".as_ref(), read_only: false, directfs: false, container: None, annotations: None }
}

/// A client of `volume`, and its control socket.
fn connect(server: &VolumeServer, volume: &str) -> Result<(Client, Root, Control)> {
    let control = Volume::at(&server.socket(), volume)?.connect()?;
    let (ours, theirs) = UnixStream::pair()?;
    control.hand_over(theirs.into(), &place())?;
    let (client, root) = Client::connect(ours.into(), &ClientOptions::default())?;
    Ok((client, root, control))
}

#[test]
fn the_end_of_one_side_is_heard_on_the_other() -> Result<()> {
    let server = VolumeServer::start("data = 'mem:'")?;
    // The client hangs up.
    let (client, _, control) = connect(&server, "data")?;
    drop(client);
    control.wait();
    server.is_left()?;
    // The gofer goes.
    let control = Volume::at(&server.socket(), "data")?.connect()?;
    let (mut ours, theirs) = UnixStream::pair()?;
    control.hand_over(theirs.into(), &place())?;
    drop(control);
    ours.set_read_timeout(Some(LIMIT))?;
    check::equal("the connection ends", &ours.read(&mut [0])?, &0)?;
    server.is_left()?;
    server.stop()
}

#[test]
fn many_idle_connections_cost_little() -> Result<()> {
    const COUNT: usize = 200;
    let server = VolumeServer::start("data = 'mem:'")?;
    let first = connect(&server, "data")?;
    let before = process::memory(server.pid())?.private;
    let clients = (0..COUNT).map(|_| connect(&server, "data")).collect::<Result<Vec<_>>>()?;
    let each = (process::memory(server.pid())?.private - before) / COUNT as u64;
    let seconds = std::env::var(IDLE).ok().and_then(|text| text.parse().ok()).unwrap_or(2);
    check::holds(&format!("{each} KiB each is under 256"), each < 256)?;
    check::equal("connections", &server.connected()?.len(), &(COUNT + 1))?;
    let ticks = process::ticks(server.pid())?;
    // Something has to pass: the time is not what is looked at.
    std::thread::sleep(Duration::from_secs(seconds));
    let passed = process::ticks(server.pid())? - ticks;
    println!("{COUNT} idle connections: {each} KiB private each, {passed} clock ticks in {seconds} s");
    check::equal("processor time of idle connections", &passed, &0)?;
    drop((clients, first));
    server.is_left()?;
    server.stop()
}

#[test]
fn limits_are_those_of_the_file() -> Result<()> {
    let server = VolumeServer::with("limits = { connections = 2, channels = 1 }", "data = 'mem:'")?;
    let one = connect(&server, "data")?;
    let two = connect(&server, "data")?;
    let error = connect(&server, "data").err().context("a third one")?.to_string();
    check::holds(&error, error.ends_with("refused: there are already 2 connections"))?;
    // The main thread, and a socket and a channel for each.
    let threads = || fs::read_dir(format!("/proc/{}/task", server.pid())).map(Iterator::count);
    wait::until("there are 5 threads", LIMIT, || threads().is_ok_and(|threads| threads == 5))?;
    drop(two);
    wait::until("there is room again", LIMIT, || connect(&server, "data").is_ok())?;
    drop(one);
    server.stop()
}

#[test]
fn the_file_is_read_again() -> Result<()> {
    let server = VolumeServer::start("old = 'mem:'")?;
    let old = connect(&server, "old")?;
    let text = fs::read_to_string(server.file())?;
    let reload = |text: &str, sign: &str| {
        fs::write(server.file(), text)?;
        server.signal(Signal::HUP);
        wait::until(sign, LIMIT, || server.log().is_ok_and(|log| log.contains(sign)))
    };
    reload("nonsense", "keeping the old configuration")?;
    drop(connect(&server, "old")?);
    reload(&text.replace("old =", "new ="), "reloaded")?;
    drop(connect(&server, "new")?);
    let error = connect(&server, "old").err().context("it is still there")?.to_string();
    check::holds(&error, error.ends_with("there is no volume \"old\""))?;
    // Who has it keeps it.
    check::equal(
        "connections of the old volume",
        &server.connected()?.iter().filter(|one| one["volume"] == "old").count(),
        &1,
    )?;
    drop(old);
    server.is_left()?;
    server.stop()
}

#[test]
fn hostile_clients_do_not_bother_a_neighbour() -> Result<()> {
    let server = VolumeServer::start("data = 'mem:'\nother = 'mem:'")?;
    let mut command = Command::new(bins::fusebridge()?);
    let neighbour = Mount::start(command.args(["mnt", "--io", "rpc"]).arg(server.backend("other")))?;
    let file = neighbour.path().join("f");
    fs::write(&file, "mine")?;
    let say = |bytes: &[u8]| -> Result<String> {
        let mut control = UnixStream::connect(server.socket())?;
        control.write_all(bytes)?;
        control.set_read_timeout(Some(LIMIT))?;
        let mut answer = String::new();
        control.read_to_string(&mut answer)?;
        Ok(answer)
    };
    let long = vec![b'x'; 70_000];
    for (request, wanted) in [
        (&b"\n"[..], "not valid"),
        (b"{}\n", "missing field `version`"),
        (b"{\"version\": 7}\n", "speaks version 1 of the hand-over, not 7"),
        (b"{\"version\": 1}\n", "missing field `volume`"),
        (b"{\"version\": 1, \"command\": \"halt\"}\n", "unknown command"),
        (
            b"{\"version\": 1, \"volume\": \"data\", \"read_only\": false, \"directfs\": false, \"path\": \"/\"}\n",
            "no connection came",
        ),
        (b"{\"version\": 1}\nmore", "not one line"),
        (b"\xff\xfe\n", "not valid"),
    ] {
        let answer = say(request)?;
        check::holds(&format!("{wanted:?} in {answer:?}"), answer.contains(wanted) && answer.ends_with('\n'))?;
    }
    // It may hang up before everything is sent.
    let _ = say(&long);
    // More silent ones than one user may have, and connections full of nonsense.
    let silent = (0..100).map(|_| UnixStream::connect(server.socket())).collect::<Result<Vec<_>, _>>()?;
    let mut noise = Vec::new();
    for byte in [0_u8, 1, 255] {
        let control = Volume::at(&server.socket(), "data")?.connect()?;
        let (mut ours, theirs) = UnixStream::pair()?;
        control.hand_over(theirs.into(), &place())?;
        ours.set_nonblocking(true)?;
        let _ = ours.write(&vec![byte; 1 << 16]);
        noise.push((ours, control));
    }
    let begin = Instant::now();
    for round in 0..100 {
        fs::write(&file, round.to_string())?;
        check::equal("the neighbour's file", &fs::read_to_string(&file)?, &round.to_string())?;
    }
    check::holds("the neighbour does not wait", begin.elapsed() < LIMIT)?;
    drop((silent, noise));
    neighbour.unmount()?;
    server.is_left()?;
    server.stop()
}

#[test]
fn figures_can_be_read() -> Result<()> {
    let scratch = scratch::disk()?;
    // The directory is made with it.
    let socket = scratch.path().join("run/metrics");
    let server = VolumeServer::with(&format!("metrics = 'unix:{}'", socket.display()), "'p-*' = 'mem:'")?;
    let mut command = Command::new(bins::fusebridge()?);
    let mount = Mount::start(command.args(["mnt", "--io", "rpc"]).arg(server.backend("p-1")))?;
    fs::write(mount.path().join("f"), [0; 1000])?;
    let get = |path: &str| -> Result<String> {
        let mut stream = UnixStream::connect(&socket)?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    let answer = get("/metrics")?;
    check::holds(&answer, answer.starts_with("HTTP/1.0 200 OK\r\n"))?;
    for line in [
        "gofer_volumes_calls_total{volume=\"p-*\",message=\"PWrite\"} 1\n",
        "gofer_volumes_seconds_bucket{volume=\"p-*\",message=\"PWrite\",le=\"+Inf\"} 1\n",
        "gofer_volumes_written_bytes_total{volume=\"p-*\"} 1000\n",
        "gofer_volumes_connections{volume=\"p-*\"} 1\n",
        "gofer_volumes_connections_total{volume=\"p-*\"} 1\n",
        "gofer_volumes_refused_total 0\n",
    ] {
        check::holds(&format!("{line} in {answer}"), answer.contains(line))?;
    }
    check::holds("another path", get("/")?.starts_with("HTTP/1.0 404 "))?;
    mount.unmount()?;
    server.is_left()?;
    let answer = get("/metrics")?;
    check::holds(&answer, answer.contains("gofer_volumes_connections{volume=\"p-*\"} 0\n"))?;
    server.stop()?;
    check::holds("its socket is gone", !socket.exists())
}

#[test]
fn who_dawdles_keeps_no_figures_from_others() -> Result<()> {
    let scratch = scratch::disk()?;
    let socket = scratch.path().join("metrics");
    let server = VolumeServer::with(&format!("metrics = 'unix:{}'", socket.display()), "data = 'mem:'")?;
    let mut slow = UnixStream::connect(&socket)?;
    slow.write_all(b"GET /metrics HTTP/1.1\r\nX: ")?;
    let done = AtomicBool::new(false);
    let answer = thread::scope(|scope| {
        scope.spawn(|| {
            // One byte after the other, until it is hung up on.
            while !done.load(Ordering::Relaxed) && slow.write_all(b"x").is_ok() {
                thread::sleep(Duration::from_millis(100));
            }
        });
        let read = || -> Result<String> {
            let mut stream = UnixStream::connect(&socket)?;
            stream.set_read_timeout(Some(LIMIT))?;
            stream.write_all(b"GET /metrics HTTP/1.1\r\n\r\n")?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        };
        let answer = read();
        done.store(true, Ordering::Relaxed);
        answer
    })?;
    check::holds(&answer, answer.contains("gofer_volumes_refused_total 0\n"))?;
    server.stop()
}

#[test]
fn the_socket_is_for_those_whom_the_file_names_now() -> Result<()> {
    let server = VolumeServer::start("data = 'mem:'")?;
    let text = fs::read_to_string(server.file())?;
    let mode = || fs::metadata(server.socket()).map(|metadata| metadata.permissions().mode() & 0o777).ok();
    check::equal("at first", &mode(), &Some(0o600))?;
    for (access, expected) in [("access = { users = [0, 65534] }", 0o666), ("", 0o600)] {
        fs::write(server.file(), format!("{access}\n{text}"))?;
        server.signal(Signal::HUP);
        wait::until(&format!("the mode is {expected:o}"), LIMIT, || mode() == Some(expected))?;
    }
    server.stop()
}

#[test]
fn a_server_ends_when_the_last_one_has_gone() -> Result<()> {
    let mut server = VolumeServer::start("data = 'mem:'")?;
    let (client, root, control) = connect(&server, "data")?;
    server.signal(Signal::TERM);
    wait::until("nobody can connect", LIMIT, || UnixStream::connect(server.socket()).is_err())?;
    check::holds("who is there is served", client.fstat(root.inode.control_fd).is_ok())?;
    drop(client);
    control.wait();
    check::holds("it ends well", server.ended()?.success())?;
    // A second time, nobody is waited for.
    let mut server = VolumeServer::start("data = 'mem:'")?;
    let held = connect(&server, "data")?;
    server.signal(Signal::TERM);
    wait::until("nobody can connect", LIMIT, || UnixStream::connect(server.socket()).is_err())?;
    server.signal(Signal::TERM);
    check::holds("it ends well", server.ended()?.success())?;
    held.2.wait();
    check::holds("the control socket is readable at its end", held.2.as_fd().try_clone_to_owned().is_ok())
}
