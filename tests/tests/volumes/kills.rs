//! Processes that are killed at any moment.

use std::fs::{self, File};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use e2e::mount::Mount;
use e2e::sandbox::{DirectFs, Gofer, Runsc, Sandbox};
use e2e::volumes::{VolumeServer, configuration};
use e2e::{bins, check, process, scratch, skip, wait};
use rustix::process::Signal;

use crate::containers::with_volume;

const LIMIT: Duration = Duration::from_secs(30);

/// Names how many kills there are to be; `cargo xtask kill-volumes` sets it.
const VARIABLE: &str = "VOLUME_KILLS";

/// How many kills there are to be.
fn kills(few: u64) -> u64 {
    std::env::var(VARIABLE).ok().and_then(|text| text.parse().ok()).unwrap_or(few)
}

/// Some number below `end`.
fn any(end: u64) -> u64 {
    RandomState::new().hash_one(0) % end
}

/// Makes files until that fails, each durable before it counts.
fn write(directory: &Path, done: &AtomicU64) -> io::Error {
    loop {
        let number = done.load(Ordering::Relaxed);
        let written = || {
            let mut file = File::create(directory.join(number.to_string()))?;
            file.write_all(&number.to_le_bytes().repeat(1000))?;
            file.sync_all()
        };
        if let Err(error) = written() {
            return error;
        }
        done.store(number + 1, Ordering::Relaxed);
    }
}

#[test]
fn a_server_under_load() -> Result<()> {
    let others_files = scratch::disk()?;
    let other = VolumeServer::start(&format!("data = '{}'", others_files.path().display()))?;
    let mount = |server: &VolumeServer| {
        let mut command = Command::new(bins::fusebridge()?);
        Mount::start(command.args(["mnt", "--io", "rpc"]).arg(server.backend("data")))
    };
    let neighbour = mount(&other)?;
    for round in 0..kills(5) {
        let files = scratch::disk()?;
        let mut server = VolumeServer::start(&format!("data = '{}'", files.path().display()))?;
        let (mounted, done, moment) = (mount(&server)?, AtomicU64::new(0), any(60));
        let error = thread::scope(|scope| {
            let writer = scope.spawn(|| write(mounted.path(), &done));
            let begun = wait::until("files are written", LIMIT, || done.load(Ordering::Relaxed) >= moment);
            server.signal(Signal::KILL);
            let error = writer.join().map_err(|_| anyhow::anyhow!("the writer panicked"));
            begun.and(error)
        })
        .with_context(|| format!("round {round}, killed after {moment} files"))?;
        check::equal("the error", &error.raw_os_error(), &Some(rustix::io::Errno::IO.raw_os_error()))?;
        server.ended()?;
        for number in 0..done.load(Ordering::Relaxed) {
            let content = fs::read(files.path().join(number.to_string()))?;
            check::holds("a synced file is whole", content == number.to_le_bytes().repeat(1000))?;
        }
        mounted.unmount()?;
        fs::write(neighbour.path().join("f"), round.to_string())?;
        check::equal("the neighbour", &fs::read_to_string(neighbour.path().join("f"))?, &round.to_string())?;
    }
    neighbour.unmount()?;
    other.stop()
}

#[test]
fn each_process_of_a_container() -> Result<()> {
    // With a descriptor of the root in the sandbox, the connection has little to do.
    let mut ways = Runsc::all();
    ways.retain(|runsc| runsc.directfs() != DirectFs::On);
    if ways.is_empty() {
        skip!("there is no runsc");
    }
    let other_files = scratch::disk()?;
    let mut number = 0;
    for round in 0..kills(3) {
        let victim = ["server", "gofer", "sandbox"][usize::try_from(round % 3)?];
        let runsc = &ways[usize::try_from(round / 3)? % ways.len()];
        let scene = || format!("round {round}: the {victim} was killed, on {runsc}");
        let files = scratch::disk()?;
        let path = files.path().display();
        let mut server = VolumeServer::start(&format!("data = '{path}'\nother = '{}'", other_files.path().display()))?;
        let sandbox = Sandbox::new(runsc, Gofer::Ours)?;
        fs::write(sandbox.configuration(), configuration(&server.socket(), &["data"]))?;
        let bundle = with_volume(&sandbox, "c", "data")?
            .script("i=0; while echo $i > /data/$i; do i=$((i+1)); done; echo failed > /failed; exec sleep 1000");
        sandbox.start(&bundle)?;
        let moment = any(60).to_string();
        wait::until("files are written", LIMIT, || files.path().join(&moment).exists()).with_context(scene)?;
        if victim == "server" {
            server.signal(Signal::KILL);
            server.ended()?;
            wait::until("the application has an error", LIMIT, || bundle.root().join("failed").exists())
                .with_context(scene)?;
        } else {
            // What is killed takes nothing of the server's with it: somebody else has a volume all the time.
            let mut command = Command::new(bins::fusebridge()?);
            let neighbour = Mount::start(command.args(["mnt", "--io", "rpc"]).arg(server.backend("other")))?;
            for process in sandbox.processes(victim)? {
                process::kill(process);
            }
            number += 1;
            fs::write(neighbour.path().join("f"), number.to_string())?;
            check::equal("the neighbour", &fs::read_to_string(neighbour.path().join("f"))?, &number.to_string())?;
            neighbour.unmount()?;
        }
        sandbox.succeed(["delete", "--force", bundle.id()]).with_context(scene)?;
        if victim != "server" {
            server.is_left().with_context(scene)?;
            server.stop().with_context(scene)?;
        }
        sandbox.end().with_context(scene)?;
    }
    println!(
        "{} processes of containers killed, on {}",
        kills(3),
        ways.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    );
    Ok(())
}
