//! The micro-benchmarks.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::subject::Subject;

/// Operations or MiB in a second.
pub(crate) type Figure = f64;

/// A column of the table.
pub(crate) struct Measure {
    /// Its heading.
    pub(crate) name: &'static str,
    /// Its unit.
    pub(crate) unit: &'static str,
}

const fn rate(name: &'static str) -> Measure {
    Measure { name, unit: "/s" }
}

const fn flow(name: &'static str) -> Measure {
    Measure { name, unit: "MiB/s" }
}

/// The columns, in the order in which [`run`] gives the figures.
pub(crate) const MEASURES: [Measure; 10] = [
    rate("create"),
    rate("cold stat"),
    rate("warm stat"),
    rate("open+close"),
    rate("readdir+stat"),
    rate("unlink"),
    flow("seq. write"),
    flow("seq. read"),
    rate("4K random read"),
    rate("4K random write"),
];

/// How much is done.
#[derive(Clone, Copy)]
pub(crate) struct Sizes {
    files: u32,
    listed: u32,
    mebibytes: u32,
    random: Duration,
}

impl Sizes {
    /// The real measurement.
    pub(crate) const FULL: Self =
        Self { files: 2000, listed: 10_000, mebibytes: 512, random: Duration::from_millis(1000) };
    /// A try.
    pub(crate) const QUICK: Self = Self { files: 100, listed: 200, mebibytes: 16, random: Duration::from_millis(50) };
}

const MIB: usize = 1 << 20;
const BLOCK: usize = 4096;
/// Warm calls are quick: they are repeated, so that the clock has something to measure.
const WARM_PASSES: u32 = 5;

/// Measures one subject once. `directory` is empty and lies under it.
pub(crate) fn run(subject: Subject, directory: &Path, sizes: Sizes) -> Result<Vec<Figure>> {
    // Made from below: the listing shall not find anything in caches.
    let listed = directory.join("listed");
    fs::create_dir(&listed)?;
    for number in 0..sizes.listed {
        File::create(listed.join(format!("entry-{number}")))?;
    }

    let mut figures = names(subject, directory, sizes)?;
    figures.extend(data(subject, directory, sizes)?);
    Ok(figures)
}

/// Everything about names and attributes.
fn names(subject: Subject, directory: &Path, sizes: Sizes) -> Result<Vec<Figure>> {
    let paths =
        |root: &Path| -> Vec<_> { (0..sizes.files).map(|number| root.join(format!("file-{number}"))).collect() };

    let reached = subject.fresh(directory)?;
    let files = paths(reached.path());
    let create = per_second(sizes.files, || files.iter().try_for_each(|path| File::create_new(path).map(drop)))?;
    reached.leave()?;

    let reached = subject.fresh(directory)?;
    let files = paths(reached.path());
    let stat = || files.iter().try_for_each(|path| fs::symlink_metadata(path).map(drop));
    let cold = per_second(sizes.files, stat)?;
    let warm = per_second(sizes.files * WARM_PASSES, || (0..WARM_PASSES).try_for_each(|_| stat()))?;
    let open = per_second(sizes.files, || files.iter().try_for_each(|path| File::open(path).map(drop)))?;
    reached.leave()?;

    let reached = subject.fresh(directory)?;
    let mut seen = 0;
    let list = per_second(sizes.listed, || {
        for entry in fs::read_dir(reached.path().join("listed"))? {
            entry?.metadata()?;
            seen += 1;
        }
        Ok(())
    })?;
    ensure!(seen == sizes.listed, "{} listed {seen} of {} entries", subject.name(), sizes.listed);
    let files = paths(reached.path());
    let unlink = per_second(sizes.files, || files.iter().try_for_each(fs::remove_file))?;
    reached.leave()?;

    Ok(vec![create, cold, warm, open, list, unlink])
}

/// Everything about the bytes of one large file.
fn data(subject: Subject, directory: &Path, sizes: Sizes) -> Result<Vec<Figure>> {
    let mut buffer = vec![0x5a; MIB];

    let reached = subject.fresh(directory)?;
    let path = reached.path().join("large");
    let write = per_second(sizes.mebibytes, || {
        let file = File::create_new(&path)?;
        (0..sizes.mebibytes).try_for_each(|block| file.write_all_at(&buffer, offset(block, MIB)))
    })?;
    reached.leave()?;
    // Else the disk is busy with it during the next measurements.
    rustix::fs::sync();

    let reached = subject.fresh(directory)?;
    let path = reached.path().join("large");
    let read = per_second(sizes.mebibytes, || {
        let file = File::open(&path)?;
        (0..sizes.mebibytes).try_for_each(|block| file.read_exact_at(&mut buffer, offset(block, MIB)))
    })?;
    reached.leave()?;

    let reached = subject.fresh(directory)?;
    let path = reached.path().join("large");
    let file = OpenOptions::new().read(true).write(true).open(path).context("the large file")?;
    let mut block = [0x6b; BLOCK];
    let random_read = random(sizes, |offset| file.read_exact_at(&mut block, offset))?;
    let random_write = random(sizes, |offset| file.write_all_at(&block, offset))?;
    drop(file);
    reached.leave()?;

    Ok(vec![write, read, random_read, random_write])
}

/// Does `work`, which is `count` operations, and gives operations in a second.
fn per_second(count: u32, work: impl FnOnce() -> std::io::Result<()>) -> Result<Figure> {
    let start = Instant::now();
    work()?;
    Ok(f64::from(count) / start.elapsed().as_secs_f64())
}

/// Does `work` at random blocks of the large file until the time is over.
fn random(sizes: Sizes, mut work: impl FnMut(u64) -> std::io::Result<()>) -> Result<Figure> {
    let blocks = u64::from(sizes.mebibytes) * (MIB / BLOCK) as u64;
    // xorshift: the same places for every subject.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut done = 0;
    let start = Instant::now();
    while start.elapsed() < sizes.random {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        work(state % blocks * BLOCK as u64)?;
        done += 1;
    }
    Ok(f64::from(done) / start.elapsed().as_secs_f64())
}

fn offset(block: u32, size: usize) -> u64 {
    u64::from(block) * size as u64
}
