//! Many users of one mount at once, each of whom knows what files have to be. `cargo xtask soak` is the long form.

mod log;
mod own;
mod records;

use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e::backend::{Backend, Served};
use e2e::modes::{Access, Io};
use e2e::mount::{self, Mount};
use e2e::scratch;
use fastrand::Rng;
use rustix::fs::{Advice, fadvise};

use log::Log;
use own::Own;
use records::Records;

/// Says how long each mount is used; `cargo xtask soak` sets it.
const VARIABLE: &str = "SOAK_SECONDS";

/// Users who change files.
const USERS: usize = 4;

/// Names one of the modes; without, all have their turn.
const ONLY: &str = "SOAK_ONLY";

/// What is mounted, one after the other.
const MODES: [(Backend, Io, Access); 11] = [
    (Backend::CacheHost, Io::Rpc, Access::Exclusive),
    (Backend::CacheHostBack, Io::Rpc, Access::Exclusive),
    (Backend::CacheMemory, Io::Rpc, Access::Shared),
    (Backend::CacheMemoryBack, Io::Rpc, Access::Exclusive),
    (Backend::CacheBlob, Io::Rpc, Access::Shared),
    (Backend::CacheBlobBack, Io::Rpc, Access::Exclusive),
    (Backend::Blob, Io::Rpc, Access::Exclusive),
    (Backend::Crypt, Io::Rpc, Access::Exclusive),
    (Backend::CryptMemory, Io::Rpc, Access::Shared),
    (Backend::Host, Io::Auto, Access::Exclusive),
    (Backend::Host, Io::Rpc, Access::Shared),
];

/// Caches that have room for next to nothing, before a directory on the disk: there, inode numbers are used again.
const SMALL: [&str; 2] = ["size=2m", "size=3m&write=back&dirty=1m"];

/// A cache before a directory on the disk.
fn before_disk(options: &str) -> Result<Served> {
    let (files, cache) = (scratch::disk()?, scratch::memory()?);
    let (host, directory) = (files.path().display(), cache.path().display());
    let argument = format!("cache:{host}?dir={directory}&free=0&access=exclusive&{options}").into();
    Ok(Served { argument, directory: Some(files), volume: None, cache: Some(cache) })
}

/// Has the kernel forget the data of a file, so that the next read is one of the mount.
fn forget(file: &File) -> Result<()> {
    Ok(fadvise(file, 0, None, Advice::DontNeed)?)
}

/// Reads up to `len` bytes at `offset`.
fn read(file: &File, offset: u64, len: usize) -> Result<Vec<u8>> {
    let (mut bytes, mut done) = (vec![0; len], 0);
    while done < len {
        match file.read_at(&mut bytes[done..], offset + done as u64)? {
            0 => break,
            count => done += count,
        }
    }
    bytes.truncate(done);
    Ok(bytes)
}

/// Looks at whatever there is, until the end.
fn look_around(directory: &Path, seed: u64, has_ended: &AtomicBool) -> Result<()> {
    let mut random = Rng::with_seed(seed);
    while !has_ended.load(Ordering::Relaxed) {
        let entries = fs::read_dir(directory)?.collect::<Result<Vec<_>, _>>()?;
        let Some(entry) = random.choice(&entries) else { continue };
        let file = match File::open(entry.path()) {
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            opened => opened.context("open, to look")?,
        };
        let size = file.metadata()?.len();
        for _ in 0..random.u8(0..4) {
            if random.bool() {
                forget(&file)?;
            }
            read(&file, random.u64(0..=size), random.usize(1..200_000)).context("read, to look")?;
        }
    }
    Ok(())
}

/// One user's work, until the end or somebody's failure.
fn work(
    own: &mut Own,
    records: &Records,
    log: &Log,
    user: usize,
    until: Instant,
    has_ended: &AtomicBool,
) -> Result<()> {
    let mut random = Rng::with_seed(fastrand::u64(..));
    while Instant::now() < until && !has_ended.load(Ordering::Relaxed) {
        match random.u8(0..10) {
            0..=4 => own.step()?,
            5 => records.write(user, &mut random)?,
            6 | 7 => records.look(&mut random)?,
            8 => log.append(user)?,
            _ if random.u8(0..8) == 0 => log.look()?,
            _ => own.look()?,
        }
    }
    Ok(())
}

fn start(served: &Served, io: Io, access: Access) -> Result<Mount> {
    Mount::start(mount::command(io, access)?.args(served.flags()).arg(&served.argument))
}

/// Many users, and then one who looks at what they have left.
fn soak(served: &Served, io: Io, access: Access, time: Duration) -> Result<()> {
    let mount = start(served, io, access)?;
    let directory = mount.path().to_path_buf();
    let mut owns = (0..USERS).map(|user| Own::new(&directory, user)).collect::<Result<Vec<_>>>()?;
    let (records, log) = (Records::new(&directory, USERS)?, Log::new(&directory, USERS)?);
    let (has_ended, until) = (AtomicBool::new(false), Instant::now() + time);
    let end = |result: Result<()>| {
        if result.is_err() {
            has_ended.store(true, Ordering::Relaxed);
        }
        result
    };
    thread::scope(|scope| -> Result<()> {
        let (records, log, has_ended, directory, end) = (&records, &log, &has_ended, &directory, &end);
        let lookers: Vec<_> =
            (0..2).map(|seed| scope.spawn(move || end(look_around(directory, seed, has_ended)))).collect();
        let users: Vec<_> = owns
            .iter_mut()
            .enumerate()
            .map(|(user, own)| scope.spawn(move || end(work(own, records, log, user, until, has_ended))))
            .collect();
        let mut all = Vec::new();
        for user in users {
            all.push(user.join());
        }
        has_ended.store(true, Ordering::Relaxed);
        all.extend(lookers.into_iter().map(|looker| looker.join()));
        all.into_iter().try_for_each(|one| one.map_err(|_| anyhow::anyhow!("a user panicked"))?)
    })?;
    let is_all_there = || -> Result<()> {
        owns.iter().try_for_each(Own::is_there)?;
        records.look_at_all()?;
        log.look()
    };
    is_all_there().context("at the end")?;
    drop(records);
    owns.iter_mut().for_each(Own::close);
    // What is only in memory ends with the mount.
    let stays = !matches!(served.argument.to_str(), Some(text) if text.contains("mem"));
    mount.unmount()?;
    if !stays {
        return Ok(());
    }
    let mount = start(served, io, access)?;
    for own in &mut owns {
        own.moved_to(mount.path());
        own.is_there().context("on the next mount")?;
    }
    ensure!(fs::read(mount.path().join("log"))?.len() as u64 == log.len(), "the log on the next mount");
    mount.unmount()
}

#[test]
fn everybody_finds_what_was_written() -> Result<()> {
    let seconds = std::env::var(VARIABLE).ok().and_then(|text| text.parse().ok());
    let time = seconds.map_or(Duration::from_millis(500), Duration::from_secs);
    let only = std::env::var(ONLY).unwrap_or_default();
    let soak = |mode: String, served: &dyn Fn() -> Result<Served>, io, access| {
        if !mode.contains(&only) {
            return Ok(());
        }
        soak(&served()?, io, access, time).context(mode)
    };
    for (backend, io, access) in MODES {
        let mode = format!("{backend:?} with --io {} --access {}", io.word(), access.word());
        soak(mode, &|| backend.fresh(), io, access)?;
    }
    for options in SMALL {
        soak(format!("a small cache with {options}"), &|| before_disk(options), Io::Rpc, Access::Exclusive)?;
    }
    Ok(())
}
