//! The measurements.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Result, ensure};
use e2e::command;
use e2e::crypt::{self, Config, Volume};
use tempfile::TempDir;

use super::subject::{Mounted, Subject};
use crate::bench::archive::{self, LIMIT};
use crate::bench::columns::{Figure, Unit};
use crate::bench::random;

/// How much is done.
#[derive(Clone, Copy)]
pub(super) struct Sizes {
    mebibytes: u32,
    blocks: u32,
    files: u32,
    pub(super) directories: u32,
    pub(super) files_in_each: u32,
}

impl Sizes {
    /// The real measurement.
    pub(super) const FULL: Self =
        Self { mebibytes: 256, blocks: 30_000, files: 10_000, directories: 100, files_in_each: 20 };
    /// A try.
    pub(super) const QUICK: Self = Self { mebibytes: 8, blocks: 300, files: 100, directories: 5, files_in_each: 20 };
}

const MIB: usize = 1 << 20;

/// Measures one subject once, on a new volume in `directory`. The archive is in `archive`.
pub(super) fn run(
    subject: Subject,
    directory: TempDir,
    archive: &Path,
    sizes: Sizes,
    filter: &str,
) -> Result<Vec<Figure>> {
    crypt::make(directory.path(), Config::Default)?;
    let mut run = Run {
        subject,
        volume: Volume::of(directory)?,
        sizes,
        filter,
        resident: 0,
        proportional: 0,
        figures: Vec::new(),
    };
    run.data()?;
    run.names()?;
    run.tree(archive)?;
    let memory = |name, kib: u64| {
        let value = f64::from(u32::try_from(kib).unwrap_or(u32::MAX)) / 1024.0;
        Figure { name, unit: Unit::Size, value }
    };
    run.figures.push(memory("resident, all processes", run.resident));
    run.figures.push(memory("resident, shared pages once", run.proportional));
    Ok(run.figures)
}

struct Run<'a> {
    subject: Subject,
    volume: Volume,
    sizes: Sizes,
    filter: &'a str,
    /// KiB, at most.
    resident: u64,
    proportional: u64,
    figures: Vec<Figure>,
}

impl Run<'_> {
    /// Does `work` in a new mount, and measures it: it is `count` units of work.
    fn measure(
        &mut self,
        name: &'static str,
        unit: Unit,
        count: u32,
        work: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<()> {
        let mounted = self.subject.mount(&self.volume)?;
        let start = Instant::now();
        work(mounted.path())?;
        self.figures.push(Figure::of(name, unit, count, start.elapsed()));
        self.leave(mounted)
    }

    fn leave(&mut self, mounted: Mounted) -> Result<()> {
        let memory = mounted.memory()?;
        self.resident = self.resident.max(memory.iter().map(|memory| memory.resident).sum());
        self.proportional = self.proportional.max(memory.iter().map(|memory| memory.proportional).sum());
        mounted.leave()
    }

    fn wants(&self, names: &[&str]) -> bool {
        names.iter().any(|name| name.contains(self.filter))
    }

    /// The bytes of one large file.
    fn data(&mut self) -> Result<()> {
        let Sizes { mebibytes, blocks, .. } = self.sizes;
        let (write, read, random) = ("sequential write", "sequential read", "4 KiB random read");
        if !self.wants(&[write, read, random]) {
            return Ok(());
        }
        let mut buffer = vec![0x5a; MIB];
        self.measure(write, Unit::Flow, mebibytes, |root| {
            let file = File::create_new(root.join("large"))?;
            (0..mebibytes).try_for_each(|number| file.write_all_at(&buffer, u64::from(number) * MIB as u64))?;
            Ok(())
        })?;
        self.measure(read, Unit::Flow, mebibytes, |root| {
            let file = File::open(root.join("large"))?;
            (0..mebibytes).try_for_each(|number| file.read_exact_at(&mut buffer, u64::from(number) * MIB as u64))?;
            ensure!(buffer.iter().all(|byte| *byte == 0x5a), "other bytes are read than were written");
            Ok(())
        })?;
        self.measure(random, Unit::Rate, blocks, |root| {
            Ok(random::read(&File::open(root.join("large"))?, mebibytes, blocks)?)
        })?;
        fs::remove_file(self.largest()?)?;
        Ok(())
    }

    /// The encrypted file of the large one: the memory that it takes is not there for what comes next.
    fn largest(&self) -> Result<PathBuf> {
        let mut largest = (0, PathBuf::new());
        for entry in self.volume.path().read_dir()? {
            let entry = entry?;
            largest = largest.max((entry.metadata()?.len(), entry.path()));
        }
        Ok(largest.1)
    }

    /// Many small files.
    fn names(&mut self) -> Result<()> {
        let files = self.sizes.files;
        let (create, stat, unlink) = ("create", "cold stat", "unlink");
        if !self.wants(&[create, stat, unlink]) {
            return Ok(());
        }
        let each = |root: &Path, work: &dyn Fn(&Path) -> std::io::Result<()>| {
            let mut paths = (0..files).map(|number| root.join(format!("file-{number}")));
            Ok(paths.try_for_each(|path| work(&path))?)
        };
        self.measure(create, Unit::Rate, files, |root| each(root, &|path| File::create_new(path).map(drop)))?;
        self.measure(stat, Unit::Rate, files, |root| each(root, &|path| path.symlink_metadata().map(drop)))?;
        self.measure(unlink, Unit::Rate, files, |root| each(root, &|path| fs::remove_file(path)))
    }

    /// What people do with trees.
    fn tree(&mut self, archive: &Path) -> Result<()> {
        let (untar, status) = ("untar", "git status");
        if !self.wants(&[untar, status]) {
            return Ok(());
        }
        let archive = archive.join(archive::ARCHIVE).display().to_string();
        self.measure(untar, Unit::Time, 1, |root| archive::tar(root, &["xf", &archive]))?;
        let mounted = self.subject.mount(&self.volume)?;
        command::shell(
            &mounted.path().join("tree"),
            "git init -q; git add .; git -c user.name=n -c user.email=e@example.org commit -qm m",
            LIMIT,
        )?;
        self.leave(mounted)?;
        self.measure(status, Unit::Time, 1, |root| {
            let mut git = Command::new("git");
            let said = command::succeed(git.args(["status", "--porcelain"]).current_dir(root.join("tree")), LIMIT)?;
            ensure!(said.is_empty(), "git finds changes: {said}");
            Ok(())
        })
    }
}
