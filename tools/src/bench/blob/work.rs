//! The measurements.

use std::fs::File;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e::proxy::{Proxy, Traffic};
use e2e::{command, host, s3, scratch};
use tempfile::TempDir;

use super::subject::{Mounted, Subject};
use crate::bench::archive;
use crate::bench::columns::{Figure, Unit};
use crate::bench::{pages, random};

/// For each program that is run: s3fs takes many requests for a file.
const LIMIT: Duration = Duration::from_secs(1800);
const MIB: usize = 1 << 20;
const FILES_IN_EACH: u32 = 50;

/// A part of the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Part {
    /// Many small files.
    Tree,
    /// One large file.
    Large,
    /// What people do with trees.
    Repository,
}

/// How much is done.
#[derive(Clone, Copy)]
pub(super) struct Sizes {
    files: u32,
    mebibytes: u32,
    reads: u32,
    /// Files of the repository.
    tracked: u32,
}

impl Sizes {
    /// A try.
    pub(super) const QUICK: Self = Self { files: 50, mebibytes: 8, reads: 200, tracked: 50 };

    pub(super) const fn new(files: u32, mebibytes: u32, reads: u32) -> Self {
        Self { files, mebibytes, reads, tracked: 200 }
    }
}

/// What is put into buckets.
pub(super) struct Source {
    sizes: Sizes,
    archive: TempDir,
    repository: TempDir,
}

impl Source {
    pub(super) fn make(sizes: Sizes) -> Result<Self> {
        let archive = archive::make(sizes.files.div_ceil(FILES_IN_EACH), FILES_IN_EACH)?;
        let repository = scratch::memory()?;
        let tracked = archive::make(sizes.tracked.div_ceil(FILES_IN_EACH), FILES_IN_EACH)?;
        archive::tar(repository.path(), &["xf", &tracked.path().join(archive::ARCHIVE).display().to_string()])?;
        let script = "git init -q; git add .; git -c user.name=n -c user.email=e@example.org commit -qm m";
        command::shell(repository.path(), script, LIMIT)?;
        Ok(Source { sizes, archive, repository })
    }

    fn archive(&self) -> PathBuf {
        self.archive.path().join(archive::ARCHIVE)
    }
}

/// Measures one subject once, in a new bucket: all of the work, or a part.
pub(super) fn run(
    subject: Subject,
    server: SocketAddr,
    bucket: &str,
    (latency, part): (u32, Option<Part>),
    source: &Source,
) -> Result<Vec<Figure>> {
    s3::bucket_in(server, bucket)?;
    let proxy = Proxy::start(server, 0)?;
    proxy.set_latency(Duration::from_millis(latency.into()));
    let mut run = Run { subject, bucket, proxy, source, memory: 0.0, figures: Vec::new() };
    let wants = |one| part.is_none_or(|part| part == one);
    if wants(Part::Tree) {
        run.tree().context("small files")?;
    }
    if wants(Part::Large) {
        run.large().context("a large file")?;
    }
    if wants(Part::Repository) {
        run.repository().context("a repository")?;
    }
    run.figures.push(Figure { name: "memory, at most", unit: Unit::Size, value: run.memory });
    Ok(run.figures)
}

struct Run<'a> {
    subject: Subject,
    bucket: &'a str,
    proxy: Proxy,
    source: &'a Source,
    /// MiB, at most.
    memory: f64,
    figures: Vec<Figure>,
}

/// What one piece of work has its figures called.
struct Names {
    time: &'static str,
    stored: Option<&'static str>,
    requests: &'static str,
    sent: Option<&'static str>,
}

impl Run<'_> {
    fn mount(&self) -> Result<Mounted> {
        host::drop_caches()?;
        self.subject.mount(self.bucket, &self.proxy)
    }

    fn leave(&mut self, mounted: Mounted) -> Result<()> {
        self.memory = self.memory.max(mounted.memory()?);
        mounted.leave()
    }

    /// Does `work`, which is `count` units, and waits until the store has what it has written.
    fn measure(
        &mut self,
        mounted: &Mounted,
        names: &Names,
        (unit, count): (Unit, u32),
        work: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<()> {
        let (before, start) = (self.proxy.traffic(), Instant::now());
        work(mounted.path())?;
        self.figures.push(Figure::of(names.time, unit, count, start.elapsed()));
        if let Some(stored) = names.stored {
            let end = mounted.store(&self.proxy)?;
            self.figures.push(Figure::of(stored, unit, count, end - start));
        }
        let after = self.proxy.traffic();
        self.traffic(names, before, after)
    }

    fn traffic(&mut self, names: &Names, before: Traffic, after: Traffic) -> Result<()> {
        let requests = f64::from(u32::try_from(after.requests - before.requests)?);
        self.figures.push(Figure { name: names.requests, unit: Unit::Count, value: requests });
        if let Some(name) = names.sent {
            let value = f64::from(u32::try_from((after.sent - before.sent) / 1024)?) / 1024.0;
            self.figures.push(Figure { name, unit: Unit::Size, value });
        }
        Ok(())
    }

    /// Many small files.
    fn tree(&mut self) -> Result<()> {
        let archive = self.source.archive().display().to_string();
        let mounted = self.mount()?;
        let names = Names {
            time: "untar",
            stored: Some("untar, until the store has it"),
            requests: "untar, requests",
            sent: Some("untar, sent"),
        };
        self.measure(&mounted, &names, (Unit::Time, 1), |root| {
            command::succeed(Command::new("tar").args(["xf", &archive]).current_dir(root), LIMIT).map(drop)
        })?;
        self.leave(mounted)?;
        let mounted = self.mount()?;
        let names = Names { time: "find, cold", stored: None, requests: "find, requests", sent: None };
        let wanted = self.source.sizes.files.div_ceil(FILES_IN_EACH) * FILES_IN_EACH;
        self.measure(&mounted, &names, (Unit::Time, 1), |root| {
            // The size is not in the listing.
            let mut find = Command::new("find");
            let found = command::succeed(find.args([".", "-type", "f", "-size", "+0"]).current_dir(root), LIMIT)?;
            ensure!(found.lines().count() == wanted as usize, "not all files are found");
            Ok(())
        })?;
        self.leave(mounted)
    }

    /// One large file.
    fn large(&mut self) -> Result<()> {
        let Sizes { mebibytes, reads, .. } = self.source.sizes;
        let mounted = self.mount()?;
        let names = Names {
            time: "sequential write",
            stored: Some("sequential write, until the store has it"),
            requests: "sequential write, requests",
            sent: Some("sequential write, sent"),
        };
        let flow = (Unit::Flow, mebibytes);
        self.measure(&mounted, &names, flow, |root| {
            let mut file = File::create_new(root.join("large"))?;
            Ok((0..mebibytes).try_for_each(|number| file.write_all(&content(number)))?)
        })?;
        self.leave(mounted)?;
        let mounted = self.mount()?;
        let names = Names {
            time: "cold sequential read",
            stored: None,
            requests: "cold sequential read, requests",
            sent: None,
        };
        self.measure(&mounted, &names, flow, |root| Ok(sequentially(&root.join("large"), mebibytes)?))?;
        // A first reader may have gone past the cache.
        sequentially(&mounted.path().join("large"), mebibytes)?;
        host::drop_caches()?;
        pages::warm(mounted.cache())?;
        let names = Names {
            time: "warm sequential read",
            stored: None,
            requests: "warm sequential read, requests",
            sent: None,
        };
        self.measure(&mounted, &names, flow, |root| Ok(sequentially(&root.join("large"), mebibytes)?))?;
        host::drop_caches()?;
        pages::warm(mounted.cache())?;
        let names = Names {
            time: "warm 4 KiB random read",
            stored: None,
            requests: "warm 4 KiB random read, requests",
            sent: None,
        };
        self.measure(&mounted, &names, (Unit::Rate, reads), |root| {
            Ok(random::read(&File::open(root.join("large"))?, mebibytes, reads)?)
        })?;
        self.leave(mounted)
    }

    /// What people do with trees.
    fn repository(&mut self) -> Result<()> {
        let repository = format!("file://{}", self.source.repository.path().display());
        let mounted = self.mount()?;
        let names = Names {
            time: "git clone",
            stored: Some("git clone, until the store has it"),
            requests: "git clone, requests",
            sent: None,
        };
        self.measure(&mounted, &names, (Unit::Time, 1), |root| {
            let mut git = Command::new("git");
            command::succeed(git.args(["clone", "-q", &repository, "clone"]).current_dir(root), LIMIT).map(drop)
        })?;
        let names = Names { time: "git status", stored: None, requests: "git status, requests", sent: None };
        self.measure(&mounted, &names, (Unit::Time, 1), |root| {
            let mut git = Command::new("git");
            let said = command::succeed(git.args(["status", "--porcelain"]).current_dir(root.join("clone")), LIMIT)?;
            ensure!(said.is_empty(), "git finds changes: {said}");
            Ok(())
        })?;
        self.leave(mounted)
    }
}

/// A block of the large file, which does not compress.
fn content(number: u32) -> Vec<u8> {
    let mut state = u64::from(number) << 1 | 1;
    let words = (0..MIB / 8).flat_map(|_| {
        state = state.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29).wrapping_add(number.into());
        state.to_le_bytes()
    });
    words.collect()
}

fn sequentially(path: &Path, blocks: u32) -> io::Result<()> {
    let (file, mut buffer) = (File::open(path)?, vec![0; MIB]);
    (0..blocks).try_for_each(|number| file.read_exact_at(&mut buffer, u64::from(number) * MIB as u64))?;
    if buffer == content(blocks - 1) { Ok(()) } else { Err(io::Error::other("wrong bytes")) }
}
