//! Requests that wait for a slow backend hold up no others.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use e2e::modes::{Access, Io, Transport};
use e2e::mount::{self, Mount};
use e2e::{check, process};

/// Mounts `backend` for `threads` requests at once.
fn mounted(threads: usize, backend: &str, transport: Transport) -> Result<Mount> {
    let mut command = mount::command(Io::Rpc, Access::Shared)?;
    Mount::start(command.args(["--threads", &threads.to_string(), "--transport", transport.word()]).arg(backend))
}

/// Opens `count` new files.
fn files(directory: &Path, count: usize) -> Result<Vec<File>> {
    let open = |number| {
        let path = directory.join(format!("file-{number}"));
        fs::write(&path, "content")?;
        File::open(path)
    };
    (0..count).map(open).collect::<Result<_, _>>().context("new files")
}

/// Reads a byte of each, all at once.
fn read(files: &[File]) -> Result<()> {
    thread::scope(|scope| {
        let readers: Vec<_> = files.iter().map(|file| scope.spawn(|| file.read_at(&mut [0], 0))).collect();
        readers.into_iter().try_for_each(|reader| {
            let read = reader.join().map_err(|_| anyhow::anyhow!("a reader panicked"))?;
            check::equal("bytes", &read?, &1)
        })
    })
}

#[test]
fn as_many_calls_are_under_way_as_there_are_readers() -> Result<()> {
    Transport::all().try_for_each(calls_under_way)
}

fn calls_under_way(transport: Transport) -> Result<()> {
    let mount = mounted(64, "fault:mem:?latency=1s@read", transport)?;
    for count in [16, 64] {
        let files = files(mount.path(), count)?;
        let start = Instant::now();
        read(&files)?;
        // Five at a time, they would take longer even for the fewer.
        check::holds("they wait together", start.elapsed() < Duration::from_millis(3900))?;
    }
    mount.unmount()
}

#[test]
fn quick_calls_pass_slow_ones() -> Result<()> {
    Transport::all().try_for_each(quick_calls)
}

fn quick_calls(transport: Transport) -> Result<()> {
    let mount = mounted(64, "fault:mem:?latency=4s@read", transport)?;
    let (path, files) = (mount.path(), files(mount.path(), 32)?);
    thread::scope(|scope| -> Result<()> {
        let readers = scope.spawn(|| read(&files));
        for number in 0..100 {
            fs::create_dir(path.join(number.to_string()))?;
            check::holds("listed", fs::read_dir(path)?.count() > 32)?;
        }
        check::holds("the readers still wait", !readers.is_finished())?;
        readers.join().map_err(|_| anyhow::anyhow!("a reader panicked"))?
    })?;
    drop(files);
    mount.unmount()
}

/// Processor time of a process and its server, in ticks.
fn ticks(mount: &Mount) -> Result<u64> {
    process::family(mount.pid())?.into_iter().map(process::ticks).sum()
}

#[test]
fn an_idle_mount_uses_no_processor() -> Result<()> {
    Transport::all().try_for_each(idle)
}

fn idle(transport: Transport) -> Result<()> {
    let mount = mounted(64, "fault:mem:?latency=100ms@read", transport)?;
    read(&files(mount.path(), 64)?)?;
    let used = |for_: Duration| -> Result<u64> {
        let before = ticks(&mount)?;
        // Nothing happens.
        thread::sleep(for_);
        Ok(ticks(&mount)? - before)
    };
    // The threads that it took go after some seconds. A moment later there is nothing to do at all.
    let quiet = (0..10).find_map(|_| match used(Duration::from_secs(1)) {
        Ok(0) => Some(Ok(())),
        Ok(_) => None,
        Err(error) => Some(Err(error)),
    });
    quiet.context("it is never idle")??;
    mount.unmount()
}

#[test]
fn no_more_calls_are_under_way_than_there_may_be() -> Result<()> {
    Transport::all().try_for_each(|transport| {
        let mount = mounted(4, "fault:mem:?latency=300ms@read", transport)?;
        let files = files(mount.path(), 12)?;
        let start = Instant::now();
        read(&files)?;
        check::holds("they take turns", start.elapsed() >= Duration::from_millis(900))?;
        drop(files);
        mount.unmount()
    })
}
