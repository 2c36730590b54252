//! The micro-benchmarks.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::cpu;
use super::random::{BLOCK, Places};
use super::subject::{Reached, Subject};

/// What was measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figure {
    /// Operations or MiB in a second.
    pub(crate) rate: f64,
    /// Microseconds of processor time for one of them, of the callers and of whoever answers them.
    pub(crate) cpu: f64,
}

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
pub(crate) const MEASURES: [Measure; 14] = [
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
    rate("open+close, 2 callers"),
    rate("open+close, 8 callers"),
    rate("create+unlink, 8 callers"),
    rate("4K random read, 8 callers"),
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
    figures.extend(together(subject, directory, sizes)?);
    Ok(figures)
}

/// Everything about names and attributes.
fn names(subject: Subject, directory: &Path, sizes: Sizes) -> Result<Vec<Figure>> {
    let paths =
        |root: &Path| -> Vec<_> { (0..sizes.files).map(|number| root.join(format!("file-{number}"))).collect() };

    let reached = subject.fresh(directory)?;
    let files = paths(reached.path());
    let create =
        per_second(&reached, sizes.files, || files.iter().try_for_each(|path| File::create_new(path).map(drop)))?;
    reached.leave()?;

    let reached = subject.fresh(directory)?;
    let files = paths(reached.path());
    let stat = || files.iter().try_for_each(|path| fs::symlink_metadata(path).map(drop));
    let cold = per_second(&reached, sizes.files, stat)?;
    let warm = per_second(&reached, sizes.files * WARM_PASSES, || (0..WARM_PASSES).try_for_each(|_| stat()))?;
    let open = per_second(&reached, sizes.files, || files.iter().try_for_each(|path| File::open(path).map(drop)))?;
    reached.leave()?;

    let reached = subject.fresh(directory)?;
    let mut seen = 0;
    let list = per_second(&reached, sizes.listed, || {
        for entry in fs::read_dir(reached.path().join("listed"))? {
            entry?.metadata()?;
            seen += 1;
        }
        Ok(())
    })?;
    ensure!(seen == sizes.listed, "{} listed {seen} of {} entries", subject.name(), sizes.listed);
    let files = paths(reached.path());
    let unlink = per_second(&reached, sizes.files, || files.iter().try_for_each(fs::remove_file))?;
    reached.leave()?;

    Ok(vec![create, cold, warm, open, list, unlink])
}

/// Everything about the bytes of one large file.
fn data(subject: Subject, directory: &Path, sizes: Sizes) -> Result<Vec<Figure>> {
    let mut buffer = vec![0x5a; MIB];

    let reached = subject.fresh(directory)?;
    let path = reached.path().join("large");
    let write = per_second(&reached, sizes.mebibytes, || {
        let file = File::create_new(&path)?;
        (0..sizes.mebibytes).try_for_each(|block| file.write_all_at(&buffer, offset(block, MIB)))
    })?;
    reached.leave()?;
    // Else the disk is busy with it during the next measurements.
    rustix::fs::sync();

    let reached = subject.fresh(directory)?;
    let path = reached.path().join("large");
    let read = per_second(&reached, sizes.mebibytes, || {
        let file = File::open(&path)?;
        (0..sizes.mebibytes).try_for_each(|block| file.read_exact_at(&mut buffer, offset(block, MIB)))
    })?;
    reached.leave()?;

    let reached = subject.fresh(directory)?;
    let path = reached.path().join("large");
    let file = OpenOptions::new().read(true).write(true).open(path).context("the large file")?;
    let mut block = [0x6b; BLOCK];
    let random_read = random(&reached, sizes, |offset| file.read_exact_at(&mut block, offset))?;
    let random_write = random(&reached, sizes, |offset| file.write_all_at(&block, offset))?;
    drop(file);
    reached.leave()?;

    Ok(vec![write, read, random_read, random_write])
}

/// What several callers do at once.
fn together(subject: Subject, directory: &Path, sizes: Sizes) -> Result<Vec<Figure>> {
    const MOST: u32 = 8;
    for number in 0..sizes.files {
        File::create(directory.join(format!("shared-{number}")))?;
    }
    let reached = subject.fresh(directory)?;
    let path = |number: u32| reached.path().join(format!("shared-{number}"));
    let share = sizes.files / MOST * MOST;
    let open = |callers: u32| {
        by(callers, |caller| {
            (caller * share / callers..(caller + 1) * share / callers)
                .try_for_each(|number| File::open(path(number)).map(drop))
        })
    };
    let two = per_second(&reached, share, || open(2))?;
    let eight = per_second(&reached, share, || open(8))?;
    let make = per_second(&reached, share, || {
        by(MOST, |caller| {
            (0..share / MOST).try_for_each(|number| {
                let path = reached.path().join(format!("made-{caller}-{number}"));
                File::create_new(&path)?;
                fs::remove_file(&path)
            })
        })
    })?;
    let large = File::open(reached.path().join("large"))?;
    let read = per_second(&reached, share * 4, || {
        by(MOST, |caller| {
            let mut block = [0; BLOCK];
            let mut places = Places::new(sizes.mebibytes, caller);
            (0..share * 4 / MOST).try_for_each(|_| large.read_exact_at(&mut block, places.next()))
        })
    })?;
    drop(large);
    reached.leave()?;
    Ok(vec![two, eight, make, read])
}

/// Has `callers` threads do `work` at once.
fn by(callers: u32, work: impl Fn(u32) -> std::io::Result<()> + Sync) -> std::io::Result<()> {
    thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = (0..callers).map(|caller| scope.spawn(move || work(caller))).collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().map_err(|_| std::io::Error::other("a caller panicked"))?)
    })
}

/// Does `work`, which says how many operations it was.
fn measured(reached: &Reached, work: impl FnOnce() -> std::io::Result<u32>) -> Result<Figure> {
    let (before, start) = (cpu::used(reached)?, Instant::now());
    let count = f64::from(work()?);
    let (took, used) = (start.elapsed(), cpu::used(reached)?.saturating_sub(before));
    Ok(Figure { rate: count / took.as_secs_f64(), cpu: used.as_secs_f64() * 1e6 / count })
}

/// Does `work`, which is `count` operations.
fn per_second(reached: &Reached, count: u32, work: impl FnOnce() -> std::io::Result<()>) -> Result<Figure> {
    measured(reached, || work().map(|()| count))
}

/// Does `work` at random blocks of the large file until the time is over.
fn random(reached: &Reached, sizes: Sizes, mut work: impl FnMut(u64) -> std::io::Result<()>) -> Result<Figure> {
    measured(reached, || {
        let (mut places, mut done, start) = (Places::new(sizes.mebibytes, 0), 0, Instant::now());
        while start.elapsed() < sizes.random {
            work(places.next())?;
            done += 1;
        }
        Ok(done)
    })
}

fn offset(block: u32, size: usize) -> u64 {
    u64::from(block) * size as u64
}
