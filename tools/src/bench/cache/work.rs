//! The measurements.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Instant;

use anyhow::{Result, ensure};
use e2e::{host, scratch};
use rustix::fs::OFlags;
use tempfile::TempDir;

use super::subject::{Mounted, Subject};
use crate::bench::columns::{Figure, Unit};
use crate::bench::{pages, random};

/// How much is done.
#[derive(Clone, Copy)]
pub(super) struct Sizes {
    mebibytes: u32,
    reads: u32,
    files: u32,
    passes: u32,
}

impl Sizes {
    /// The real measurement.
    pub(super) const FULL: Self = Self { mebibytes: 512, reads: 10_000, files: 1000, passes: 5 };
    /// A try.
    pub(super) const QUICK: Self = Self { mebibytes: 32, reads: 300, files: 50, passes: 2 };
}

const MIB: usize = 1 << 20;
/// Bytes of a small file.
const SMALL: usize = 4096;
const LARGE: &str = "large";

/// A block of the large file.
fn content(number: u32) -> Vec<u8> {
    number.to_le_bytes().repeat(MIB / 4)
}

/// What is in the backend.
pub(super) fn files(sizes: Sizes) -> Result<TempDir> {
    let directory = scratch::disk()?;
    let large = File::create(directory.path().join(LARGE))?;
    (0..sizes.mebibytes).try_for_each(|number| large.write_all_at(&content(number), offset(number)))?;
    large.sync_all()?;
    for path in small(directory.path(), sizes) {
        fs::write(path, [7; SMALL])?;
    }
    Ok(directory)
}

fn small(root: &Path, sizes: Sizes) -> Vec<PathBuf> {
    (0..sizes.files).map(|number| root.join(format!("small-{number}"))).collect()
}

fn offset(block: u32) -> u64 {
    u64::from(block) * MIB as u64
}

/// Measures one subject once.
pub(super) fn run(subject: Subject, files: &Path, latency: u32, sizes: Sizes) -> Result<Vec<Figure>> {
    host::drop_caches()?;
    let mounted = subject.mount(files, latency)?;
    let mut run = Run { subject, files, mounted: &mounted, sizes, figures: Vec::new() };
    run.cold()?;
    if subject != Subject::Backend {
        run.fill()?;
        run.data()?;
        run.names()?;
    }
    let figures = run.figures;
    mounted.leave()?;
    Ok(figures)
}

struct Run<'a> {
    subject: Subject,
    files: &'a Path,
    mounted: &'a Mounted,
    sizes: Sizes,
    figures: Vec<Figure>,
}

impl Run<'_> {
    fn measure(
        &mut self,
        name: &'static str,
        unit: Unit,
        count: u32,
        work: impl FnOnce() -> io::Result<()>,
    ) -> Result<()> {
        let start = Instant::now();
        work()?;
        self.figures.push(Figure::of(name, unit, count, start.elapsed()));
        Ok(())
    }

    /// The first read of a file. Who has no cache is asked for as many blocks at once as it may like.
    fn cold(&mut self) -> Result<()> {
        let (name, blocks, path) = ("cold sequential read", self.sizes.mebibytes, self.mounted.path().join(LARGE));
        match self.subject {
            // No part of it is slow.
            Subject::Disk => Ok(()),
            Subject::Backend => self.measure(name, Unit::Flow, blocks, || in_parallel(&path, blocks)),
            _ => self.measure(name, Unit::Flow, blocks, || sequentially(&path, blocks)),
        }
    }

    /// Has everything in the cache.
    fn fill(&self) -> Result<()> {
        sequentially(&self.mounted.path().join(LARGE), self.sizes.mebibytes)?;
        let (paths, next) = (small(self.mounted.path(), self.sizes), AtomicU32::new(0));
        let fill = || -> io::Result<()> {
            while let Some(path) = paths.get(next.fetch_add(1, Ordering::Relaxed) as usize) {
                fs::read(path)?;
            }
            Ok(())
        };
        thread::scope(|scope| {
            let threads: Vec<_> = (0..16).map(|_| scope.spawn(fill)).collect();
            threads.into_iter().try_for_each(joined)
        })?;
        Ok(())
    }

    /// Has the kernel forget all but the pages of the files on the disk.
    fn settle(&self) -> Result<()> {
        host::drop_caches()?;
        let directory = if self.subject.has_cache() { self.mounted.cache() } else { self.files };
        Ok(pages::warm(directory)?)
    }

    /// The bytes of the large file, which is in the cache.
    fn data(&mut self) -> Result<()> {
        let (path, Sizes { mebibytes, reads, .. }) = (self.mounted.path().join(LARGE), self.sizes);
        self.settle()?;
        self.measure("warm sequential read", Unit::Flow, mebibytes, || sequentially(&path, mebibytes))?;
        self.settle()?;
        let file = File::open(&path)?;
        self.measure("warm 4 KiB random read", Unit::Rate, reads, || random::read(&file, mebibytes, reads))?;
        // The same places: the kernel has the mount's pages of them now, if it may keep any.
        self.measure("4 KiB random read, warm in the kernel, too", Unit::Rate, reads, || {
            random::read(&file, mebibytes, reads)
        })
    }

    /// Small files, which are in the cache.
    fn names(&mut self) -> Result<()> {
        let (paths, passes) = (small(self.mounted.path(), self.sizes), self.sizes.passes);
        let stat = || paths.iter().try_for_each(|path| fs::symlink_metadata(path).map(drop));
        self.settle()?;
        self.measure("warm stat", Unit::Rate, self.sizes.files, stat)?;
        self.measure("stat, warm in the kernel, too", Unit::Rate, self.sizes.files * passes, || {
            (0..passes).try_for_each(|_| stat())
        })?;
        self.settle()?;
        let mut bytes = 0;
        self.measure("warm open and read of 4 KiB", Unit::Rate, self.sizes.files, || {
            paths.iter().try_for_each(|path| fs::read(path).map(|content| bytes += content.len()))
        })?;
        ensure!(bytes == paths.len() * SMALL, "small files are not as they were written");
        Ok(())
    }
}

fn sequentially(path: &Path, blocks: u32) -> io::Result<()> {
    let (file, mut buffer) = (File::open(path)?, vec![0; MIB]);
    (0..blocks).try_for_each(|number| {
        file.read_exact_at(&mut buffer, offset(number))?;
        is_right(&buffer, number)
    })
}

/// Reads all blocks, several at once, past the kernel's own reading ahead.
fn in_parallel(path: &Path, blocks: u32) -> io::Result<()> {
    const AT_ONCE: u32 = 16;
    let next = AtomicU32::new(0);
    let read = || -> io::Result<()> {
        let flags = OFlags::DIRECT.bits().cast_signed();
        let (file, mut buffer) = (File::options().read(true).custom_flags(flags).open(path)?, vec![0; MIB]);
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= blocks {
                return Ok(());
            }
            file.read_exact_at(&mut buffer, offset(number))?;
            is_right(&buffer, number)?;
        }
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(read)).collect();
        threads.into_iter().try_for_each(joined)
    })
}

/// A look at the block: at all of it would be part of the figure.
fn is_right(block: &[u8], number: u32) -> io::Result<()> {
    let (start, end) = (&block[..4], &block[MIB - 4..]);
    if start == number.to_le_bytes() && start == end { Ok(()) } else { Err(io::Error::other("wrong bytes")) }
}

fn joined<T>(thread: thread::ScopedJoinHandle<'_, io::Result<T>>) -> io::Result<T> {
    thread.join().map_err(|_| io::Error::other("a reader panicked"))?
}
