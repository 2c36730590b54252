//! A new server takes the place of an old one.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use e2e::mount::Mount;
use e2e::sandbox::Bundle;
use e2e::volumes::{VolumeServer, configuration};
use e2e::{bins, check, command, process, scratch, wait};
use rustix::process::Signal;
use serde_json::Value;

use crate::containers::{with_volume, without_directfs};

const LIMIT: Duration = Duration::from_secs(30);

/// The process that answers at the server's socket.
fn answering(server: &VolumeServer) -> Option<u32> {
    let mut status = Command::new(bins::volumes().ok()?);
    let text = command::succeed(status.args(["status", "--json", "--socket"]).arg(server.socket()), LIMIT).ok()?;
    serde_json::from_str::<Value>(&text).ok()?["pid"].as_u64()?.try_into().ok()
}

fn mount(server: &VolumeServer) -> Result<Mount> {
    let mut command = Command::new(bins::fusebridge()?);
    Mount::start(command.args(["mnt", "--io", "rpc"]).arg(server.backend("data")))
}

#[test]
fn nobody_notices() -> Result<()> {
    let files = scratch::disk()?;
    let mut server = VolumeServer::start(&format!("data = '{}'", files.path().display()))?;
    let old = server.pid();
    let (first, stop, rounds) = (mount(&server)?, AtomicBool::new(false), AtomicU32::new(0));
    let new = thread::scope(|scope| {
        let directory = first.path();
        let (stop, rounds, server) = (&stop, &rounds, &server);
        // Files through the old server, and mounts through whoever answers: none may fail.
        let user = scope.spawn(move || -> Result<()> {
            while !stop.load(Ordering::Relaxed) {
                let round = rounds.fetch_add(1, Ordering::Relaxed).to_string();
                fs::write(directory.join("f"), &round)?;
                check::equal("what was written", &fs::read_to_string(directory.join("f"))?, &round)?;
            }
            Ok(())
        });
        let newcomer = scope.spawn(move || -> Result<()> {
            while !stop.load(Ordering::Relaxed) {
                let mut command = Command::new(bins::fusebridge()?);
                command.stdout(Stdio::null()).arg("run").arg(server.backend("data")).args(["--", "ls", "-l"]);
                command::succeed(&mut command, LIMIT)?;
            }
            Ok(())
        });
        let begun = wait::until("the load is there", LIMIT, || rounds.load(Ordering::Relaxed) > 10);
        server.signal(Signal::USR2);
        let new = wait::until_some("a new server", LIMIT, || answering(server).filter(|pid| *pid != old));
        let seen = rounds.load(Ordering::Relaxed);
        let goes_on = wait::until("the load goes on", LIMIT, || rounds.load(Ordering::Relaxed) > seen + 10);
        stop.store(true, Ordering::Relaxed);
        for user in [user, newcomer] {
            user.join().map_err(|_| anyhow::anyhow!("a user panicked"))??;
        }
        begun.and(goes_on).and(new)
    })?;
    check::holds("the old server is still there", process::alive(old))?;
    let second = mount(&server)?;
    check::equal(
        "the files of the new server",
        &fs::read(second.path().join("f"))?,
        &fs::read(first.path().join("f"))?,
    )?;
    first.unmount()?;
    check::holds("the old server ends well", server.ended()?.success())?;
    fs::write(second.path().join("g"), "afterwards")?;
    second.unmount()?;
    process::signal(new, Signal::TERM);
    wait::until("the new server ends", LIMIT, || !process::alive(new))?;
    check::holds("and takes the socket with it", !server.socket().exists())
}

#[test]
fn figures_can_be_read_of_the_new_server() -> Result<()> {
    let scratch = scratch::disk()?;
    let socket = scratch.path().join("metrics");
    let mut server = VolumeServer::with(&format!("metrics = 'unix:{}'", socket.display()), "data = 'mem:'")?;
    let (old, mounted) = (server.pid(), mount(&server)?);
    server.signal(Signal::USR2);
    let new = wait::until_some("a new server", LIMIT, || answering(&server).filter(|pid| *pid != old))?;
    mounted.unmount()?;
    check::holds("the old server ends well", server.ended()?.success())?;
    let mut stream = UnixStream::connect(&socket)?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    check::holds(&answer, answer.contains("gofer_volumes_refused_total 0\n"))?;
    process::signal(new, Signal::TERM);
    wait::until("the new server ends", LIMIT, || !process::alive(new))?;
    check::holds("and takes both sockets with it", !server.socket().exists() && !socket.exists())
}

#[test]
fn a_new_server_that_cannot_start_changes_nothing() -> Result<()> {
    let server = VolumeServer::start("data = 'mem:'")?;
    let text = fs::read_to_string(server.file())?;
    fs::write(server.file(), "nonsense")?;
    server.signal(Signal::USR2);
    wait::until("it is said", LIMIT, || server.log().is_ok_and(|log| log.contains("the new server failed to start")))?;
    check::equal("who answers", &answering(&server).context("nobody")?, &server.pid())?;
    fs::write(server.file(), text)?;
    server.stop()
}

#[test]
fn a_container_does_not_notice() -> Result<()> {
    without_directfs(|sandbox| {
        let files = scratch::disk()?;
        let mut server = VolumeServer::start(&format!("data = '{}'", files.path().display()))?;
        fs::write(sandbox.configuration(), configuration(&server.socket(), &["data"]))?;
        let old = server.pid();
        // It writes all the time, and says so when anything fails.
        let load = |container| {
            with_volume(sandbox, container, "data").map(|bundle| {
                bundle.script(&format!(
                    "i=0; while i=$((i+1)) && echo $i > /data/{container} && [ $(cat /data/{container}) = $i ]; do :; done
                     echo failed > /failed; exec sleep 1000"
                ))
            })
        };
        let turn = |container: &str| {
            fs::read_to_string(files.path().join(container)).ok().and_then(|text| text.trim().parse::<u64>().ok())
        };
        let goes_on = |container: &str, bundle: &Bundle| {
            let seen = turn(container).unwrap_or_default();
            let has_failed = || bundle.root().join("failed").exists();
            wait::until("it goes on", LIMIT, || has_failed() || turn(container).is_some_and(|turn| turn > seen + 20))?;
            check::holds(&format!("{container} has not failed"), !has_failed())
        };
        let first = load("first")?;
        sandbox.start(&first)?;
        goes_on("first", &first)?;
        server.signal(Signal::USR2);
        let new = wait::until_some("a new server", LIMIT, || answering(&server).filter(|pid| *pid != old))?;
        goes_on("first", &first)?;
        check::holds("the old server serves it", process::alive(old))?;
        let second = load("second")?;
        sandbox.start(&second)?;
        goes_on("second", &second)?;
        goes_on("first", &first)?;
        sandbox.succeed(["delete", "--force", first.id()])?;
        check::holds("the old server ends well", server.ended()?.success())?;
        goes_on("second", &second)?;
        sandbox.succeed(["delete", "--force", second.id()])?;
        process::signal(new, Signal::TERM);
        wait::until("the new server ends", LIMIT, || !process::alive(new))
    })
}
