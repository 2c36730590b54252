//! Mounts whose server is in their own process.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use e2e::modes::{Access, Io, Transport};
use e2e::mount::{self, Mount};
use e2e::ring::Switch;
use e2e::{bins, check, command, process, scratch};
use rustix::io::Errno;

/// Long enough for anything here.
const LIMIT: Duration = Duration::from_secs(60);

/// Mounts `backend` with these `arguments`.
fn mounted(backend: &str, transport: Transport, arguments: &[&str]) -> Result<Mount> {
    let mut command = mount::command(Io::Rpc, Access::Shared)?;
    command.args(["--server", "in-process", "--transport", transport.word()]);
    Mount::start(command.args(arguments).arg(backend))
}

#[test]
fn there_is_no_process_beside_it() -> Result<()> {
    Transport::all().try_for_each(|transport| {
        let mount = mounted("mem:", transport, &[])?;
        fs::write(mount.path().join("file"), "content")?;
        check::equal("content", &fs::read_to_string(mount.path().join("file"))?, &"content")?;
        check::equal("processes", &process::family(mount.pid())?.len(), &1)?;
        mount.unmount()
    })
}

#[test]
fn what_ships_is_there_by_default() -> Result<()> {
    let (host, other, cache) = (scratch::memory()?, scratch::memory()?, scratch::memory()?);
    let [host, other, cache] = [&host, &other, &cache].map(|directory| directory.path().display());
    for (backend, processes) in [
        (format!("host:{host}"), 1),
        (format!("readonly:{host}"), 1),
        (format!("cache:{host}?dir={cache}"), 1),
        ("cache:blob:memory:?dir=".to_owned() + &cache.to_string(), 1),
        ("blob:memory:".to_owned(), 1),
        (format!("blob:file://{other}?create"), 1),
        // For tests of servers that end alone.
        ("fault:mem:".to_owned(), 2),
        (format!("cache:fault:{host}?dir={cache}"), 2),
    ] {
        let mut command = mount::command(Io::Rpc, Access::Shared)?;
        let mount = Mount::start(command.arg(&backend)).with_context(|| backend.clone())?;
        check::equal(&format!("processes of {backend}"), &process::family(mount.pid())?.len(), &processes)?;
        mount.unmount()?;
    }
    Ok(())
}

#[test]
fn umasks_are_those_of_callers() -> Result<()> {
    const SCRIPT: &str = "umask 027; exec \"$0\" run --server in-process --transport $1 mem: -- \
                          sh -c 'umask; > file; mkdir dir; stat -c %a file dir'";
    Transport::all().try_for_each(|transport| {
        let _switch = (transport == Transport::Ring).then(Switch::on).transpose()?;
        let mut run = Command::new("sh");
        run.args(["-c", SCRIPT]).arg(bins::fusebridge()?).arg(transport.word());
        check::equal("umask and modes", &command::succeed(&mut run, LIMIT)?, &"0027\n640\n750\n")
    })
}

#[test]
fn a_backend_that_takes_too_long_is_an_error_and_holds_nobody_up() -> Result<()> {
    Transport::all().try_for_each(|transport| {
        let mount = mounted("fault:mem:?latency=9s@read", transport, &["--time-limit", "1"])?;
        let path = mount.path().join("file");
        fs::write(&path, "content")?;
        let file = File::open(&path)?;
        let start = Instant::now();
        check::fails("read", file.read_at(&mut [0], 0), &[Errno::IO])?;
        check::holds("it was given up", start.elapsed() < Duration::from_secs(8))?;
        check::equal("length", &fs::metadata(&path)?.len(), &7)?;
        drop(file);
        mount.umount_command()
    })
}

#[test]
fn what_cannot_be_is_told_in_one_line() -> Result<()> {
    for (arguments, told) in [
        (&["--stats", "mem:"][..], "--stats"),
        (&["--transport", "fuser", "mem:"], "--transport fuser"),
        (&["unix:/run/none"], "unix: and exec:, whose servers are elsewhere"),
        (&["host:/"], "a mountpoint within what is mounted"),
        (&["readonly:/"], "a mountpoint within what is mounted"),
    ] {
        let mut run = Command::new(bins::fusebridge()?);
        run.args(["run", "--server", "in-process"]).args(arguments).args(["--", "true"]);
        let outcome = command::run(&mut run, LIMIT)?;
        let wanted = format!("fusebridge: --server in-process is impossible with {told}; leave it out\n");
        check::equal("stderr", &outcome.stderr, &wanted)?;
        check::equal("exit status", &outcome.status.code().context("no status")?, &1)?;
    }
    Ok(())
}
