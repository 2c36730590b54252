//! Caches whose process is killed at any moment.

use std::fs::{self, File};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::mount::Mount;
use e2e::{bins, command, process, scratch, wait};

const LIMIT: Duration = Duration::from_secs(30);

/// Names how many kills there are to be; `cargo xtask kill-cache` sets it.
const VARIABLE: &str = "CACHE_KILLS";

/// Files that are made and changed.
const FILES: u64 = 40;

fn kills(few: u64) -> u64 {
    std::env::var(VARIABLE).ok().and_then(|text| text.parse().ok()).unwrap_or(few)
}

/// Some number below `end`.
fn any(end: u64) -> u64 {
    RandomState::new().hash_one(0) % end
}

/// The content that a file is given in one go.
fn content(number: u64) -> Vec<u8> {
    number.to_le_bytes().repeat(usize::try_from(1000 + number % 7 * 20_000).unwrap_or(0))
}

/// Makes files, changes them in place and makes them anew until that fails. What is done is counted, and what was
/// acknowledged of files that nobody changes is kept in mind by its number.
fn write(directory: &Path, done: &AtomicU64) -> io::Error {
    loop {
        let number = done.load(Ordering::Relaxed);
        let work = || -> io::Result<()> {
            let kept = directory.join(format!("kept-{}", number % FILES));
            File::create(&kept)?.write_all(&content(number))?;
            let file = File::options()
                .write(true)
                .create(true)
                .truncate(false)
                .open(directory.join(format!("changed-{}", any(FILES))))?;
            file.write_all_at(&content(any(1000)), any(3_000_000))?;
            if any(5) == 0 {
                file.set_len(any(3_000_000))?;
            }
            Ok(())
        };
        if let Err(error) = work() {
            return error;
        }
        done.store(number + 1, Ordering::Relaxed);
    }
}

/// Reads files until that fails.
fn read(directory: &Path) -> io::Error {
    loop {
        let work = || -> io::Result<()> {
            for entry in fs::read_dir(directory)? {
                let mut bytes = Vec::new();
                match File::open(entry?.path()) {
                    Ok(mut file) => file.read_to_end(&mut bytes).map(drop)?,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        };
        if let Err(error) = work() {
            return error;
        }
    }
}

/// Waits until the backend has everything.
fn flush(cache: &Path) -> Result<()> {
    command::succeed(Command::new(bins::volumes()?).args(["cache", "flush"]).arg(cache), LIMIT).map(drop)
}

#[test]
fn what_the_disk_of_the_cache_had_is_never_lost() -> Result<()> {
    let (files, cache) = (scratch::memory()?, scratch::memory()?);
    let mount = || {
        let (files, cache) = (files.path().display(), cache.path().display());
        // An upload takes a while, so that kills come in the midst of some.
        let backend =
            format!("cache:fault:{files}?latency=2ms?dir={cache}&access=exclusive&write=back&size=64m&free=0");
        Mount::start(
            Command::new(bins::fusebridge()?)
                .args(["mnt", "--server", "separate", "--access", "exclusive"])
                .arg(backend),
        )
    };
    let done = AtomicU64::new(0);
    for round in 0..kills(5) {
        let mounted = mount()?;
        let moment = done.load(Ordering::Relaxed) + 1 + any(60);
        let server = *process::family(mounted.pid())?.get(1).context("no server")?;
        let late = Duration::from_millis(any(1500));
        thread::scope(|scope| {
            let writer = scope.spawn(|| write(mounted.path(), &done));
            let reader = scope.spawn(|| read(mounted.path()));
            let begun = wait::until("files are written", LIMIT, || done.load(Ordering::Relaxed) >= moment);
            // Some kills come when what was written first is uploaded.
            if round % 2 == 1 {
                thread::sleep(late);
            }
            process::kill(server);
            for user in [writer, reader] {
                user.join().map_err(|_| anyhow::anyhow!("a user of the mount panicked"))?;
            }
            begun
        })?;
        mounted.umount_command()?;
        let kept = |directory: &Path, what: &str| -> Result<()> {
            let written = done.load(Ordering::Relaxed);
            // The last one may have been made anew when the server was killed.
            for number in written.saturating_sub(FILES - 1)..written {
                let kept = fs::read(directory.join(format!("kept-{}", number % FILES)))?;
                ensure!(kept == content(number), "round {round}: {what}, file {number} is not as it was acknowledged");
            }
            Ok(())
        };
        if round % 3 == 0 {
            // Without a mount.
            flush(cache.path())?;
            kept(files.path(), "in the backend")?;
        }
        let mounted = mount()?;
        kept(mounted.path(), "through the cache")?;
        flush(cache.path())?;
        kept(files.path(), "uploaded by the next process")?;
        for entry in fs::read_dir(files.path())? {
            let name = entry?.file_name();
            let (below, above) = (fs::read(files.path().join(&name))?, fs::read(mounted.path().join(&name))?);
            ensure!(below == above, "round {round}: {} is another file through the cache", name.display());
        }
        mounted.unmount()?;
    }
    Ok(())
}

#[test]
fn no_acknowledged_byte_is_lost_and_no_cache_is_damaged() -> Result<()> {
    for access in ["exclusive", "shared"] {
        let (files, cache) = (scratch::memory()?, scratch::memory()?);
        let mount = || {
            let (files, cache) = (files.path().display(), cache.path().display());
            let backend = format!("cache:{files}?dir={cache}&access={access}&size=24m&free=0");
            Mount::start(
                Command::new(bins::fusebridge()?)
                    .args(["mnt", "--server", "separate", "--access", access])
                    .arg(backend),
            )
        };
        let is_same = |mount: &Mount| -> Result<()> {
            for entry in fs::read_dir(files.path())? {
                let name = entry?.file_name();
                let (below, above) = (fs::read(files.path().join(&name))?, fs::read(mount.path().join(&name))?);
                ensure!(below == above, "{} is another file through the cache", name.display());
            }
            Ok(())
        };
        let done = AtomicU64::new(0);
        for round in 0..kills(5) {
            let mounted = mount()?;
            // With what the last process has left.
            is_same(&mounted).with_context(|| format!("{access}, round {round}"))?;
            let moment = done.load(Ordering::Relaxed) + any(60);
            let server = *process::family(mounted.pid())?.get(1).context("no server")?;
            thread::scope(|scope| {
                let writer = scope.spawn(|| write(mounted.path(), &done));
                let reader = scope.spawn(|| read(mounted.path()));
                let begun = wait::until("files are written", LIMIT, || done.load(Ordering::Relaxed) >= moment);
                process::kill(server);
                for user in [writer, reader] {
                    user.join().map_err(|_| anyhow::anyhow!("a user of the mount panicked"))?;
                }
                begun
            })?;
            mounted.umount_command()?;
            let written = done.load(Ordering::Relaxed);
            // The last one may have been made anew when the server was killed.
            for number in written.saturating_sub(FILES - 1)..written {
                let kept = fs::read(files.path().join(format!("kept-{}", number % FILES)))?;
                ensure!(kept == content(number), "what was acknowledged of file {number} is lost");
            }
        }
        let mounted = mount()?;
        is_same(&mounted)?;
        mounted.unmount()?;
    }
    Ok(())
}
