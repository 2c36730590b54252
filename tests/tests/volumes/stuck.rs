//! Volumes that hang while they are opened or closed. Nobody who wants another one waits for them.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::Result;
use e2e::mount::Mount;
use e2e::volumes::VolumeServer;
use e2e::{bins, check, command, process, scratch, wait};
use gofer::volume::{Mount as Place, Volume, send_line};
use lisafs::wire::MessageId;
use rustix::process::Signal;
use serde_json::json;

use crate::LIMIT;

/// A file system with a directory `a`, which hangs as long as its process is stopped.
fn below() -> Result<Mount> {
    let below = Mount::start(Command::new(bins::fusebridge()?).args(["mnt", "mem:"]))?;
    fs::create_dir(below.path().join("a"))?;
    Ok(below)
}

/// Mounts a volume of `server` for a moment.
fn visit(server: &VolumeServer, volume: &str) -> Result<()> {
    let mut run = Command::new(bins::fusebridge()?);
    command::succeed(run.args(["run", &server.backend(volume), "--", "true"]), LIMIT).map(drop)
}

/// A server with a volume `good` and volumes of a pattern on `below`, one of which has been used.
fn server(below: &Path) -> Result<VolumeServer> {
    let server = VolumeServer::start(&format!("good = 'mem:'\n'p-*' = '{}/{{star}}'", below.display()))?;
    visit(&server, "good")?;
    Ok(server)
}

fn is_closed(server: &VolumeServer, volume: &str) -> bool {
    server.log().is_ok_and(|log| log.contains(&format!("volume \"{volume}\" is closed")))
}

/// Has the volume `p-a` of `server` begin to close while `below` hangs.
fn hang(server: &VolumeServer, below: &Mount) -> Result<()> {
    let mut command = Command::new(bins::fusebridge()?);
    let mount = Mount::start(command.arg("mnt").arg(server.backend("p-a")))?;
    process::stop(below.pid())?;
    mount.unmount()
}

/// Nor does a gofer in front of it.
#[test]
fn a_gofer_ends_while_a_server_does_not_answer() -> Result<()> {
    let (server, scratch) = (VolumeServer::start("good = 'mem:'")?, scratch::disk()?);
    let [file, socket] = ["runtime.json", "gofer"].map(|name| scratch.path().join(name));
    let volume = json!({"socket": server.socket(), "time_limit": 3600});
    fs::write(&file, json!({"volumes": {"good": volume}}).to_string())?;
    let mut command = Command::new(bins::gofer()?);
    let mut gofer =
        command.env("GOFER_CONFIG", &file).args(["serve", "volume:good", "--socket"]).arg(&socket).spawn()?;
    let story = || -> Result<()> {
        wait::until("the gofer listens", LIMIT, || UnixStream::connect(&socket).is_ok())?;
        server.is_left()?;
        process::stop(server.pid())?;
        let before = process::descriptors(gofer.id())?;
        let _clients = [UnixStream::connect(&socket)?, UnixStream::connect(&socket)?];
        // One client, and its control socket.
        let asks = || process::descriptors(gofer.id()).is_ok_and(|now| now >= before + 2);
        wait::until("it asks the server", LIMIT, asks)?;
        process::signal(gofer.id(), Signal::TERM);
        Ok(())
    };
    let done = story();
    let ended = command::exit_status(&mut gofer, LIMIT);
    server.signal(Signal::CONT);
    process::kill(gofer.id());
    done?;
    check::holds("it ends well", ended?.success())?;
    server.stop()
}

#[test]
fn closing_one_holds_up_nobody() -> Result<()> {
    let below = below()?;
    let server = server(below.path())?;
    let others = hang(&server, &below).and_then(|()| visit(&server, "good"));
    let is_left = others.and_then(|()| server.is_left());
    process::signal(below.pid(), Signal::CONT);
    is_left?;
    wait::until("it is closed", LIMIT, || is_closed(&server, "p-a"))?;
    visit(&server, "p-a")?;
    server.stop()?;
    below.unmount()
}

#[test]
fn connections_that_hang_take_none_from_others() -> Result<()> {
    let below = below()?;
    let volumes = format!("good = 'mem:'\nhung = '{}'", below.path().display());
    let server = VolumeServer::with("limits = { connections = 2 }", &volumes)?;
    visit(&server, "hung")?;
    server.is_left()?;
    process::stop(below.pid())?;
    let leave_some = || -> Result<()> {
        for _ in 0..3 {
            let place =
                Place { path: "/".as_ref(), read_only: false, directfs: false, container: None, annotations: None };
            let control = Volume::at(&server.socket(), "hung")?.connect()?;
            let (mut ours, theirs) = UnixStream::pair()?;
            control.hand_over(theirs.into(), &place)?;
            // A request without anything behind its head. The answer has attributes, which do not come.
            let [low, high] = MessageId::MOUNT.0.to_ne_bytes();
            ours.write_all(&[0, 0, 0, 0, low, high, 0, 0])?;
        }
        // That they are left the server hears by itself.
        wait::until("another volume can be had", LIMIT, || visit(&server, "good").is_ok())
    };
    let others = leave_some();
    process::signal(below.pid(), Signal::CONT);
    others?;
    server.is_left()?;
    server.stop()?;
    below.unmount()
}

#[test]
fn one_that_hangs_at_the_end_does_not_keep_others_from_being_closed() -> Result<()> {
    let below = below()?;
    let mut server = server(below.path())?;
    let others = hang(&server, &below).and_then(|()| {
        server.signal(Signal::TERM);
        wait::until("the other is closed", LIMIT, || is_closed(&server, "good"))
    });
    process::signal(below.pid(), Signal::CONT);
    others?;
    check::holds("it ends well", server.ended()?.success())?;
    check::holds("when all are closed", is_closed(&server, "p-a"))?;
    below.unmount()
}

/// As when all containers of a machine are started at once, on a store that takes its time.
#[test]
fn many_may_wait_for_one_that_is_being_opened() -> Result<()> {
    const COUNT: usize = 100;
    let scratch = scratch::disk()?;
    let silent = UnixListener::bind(scratch.path().join("silent"))?;
    let path = scratch.path().display();
    let server = VolumeServer::start(&format!("silent = 'cache:unix:{path}/silent?dir={path}/cache'\ngood = 'mem:'"))?;
    let request =
        b"{\"version\": 1, \"volume\": \"silent\", \"read_only\": false, \"directfs\": false, \"path\": \"/\"}\n";
    let mut waiting = Vec::new();
    for _ in 0..COUNT {
        let (_, connection) = UnixStream::pair()?;
        let control = UnixStream::connect(server.socket())?;
        send_line(&control, request, Some(connection.as_fd()), Instant::now() + LIMIT)?;
        control.set_nonblocking(true)?;
        waiting.push(control);
    }
    let threads = || fs::read_dir(format!("/proc/{}/task", server.pid())).map_or(0, Iterator::count);
    wait::until("all have asked", LIMIT, || threads() >= COUNT)?;
    visit(&server, "good")?;
    for control in &mut waiting {
        let nothing = control.read(&mut [0]).map_err(|error| error.kind());
        check::equal("what is said to those who wait", &nothing, &Err(ErrorKind::WouldBlock))?;
    }
    // Who gives up is forgotten, but for the one who opens it.
    drop(waiting);
    wait::until("few are left", LIMIT, || threads() < 20)?;
    visit(&server, "good")?;
    drop(silent);
    server.stop()
}
