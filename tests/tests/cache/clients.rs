//! Two clients: one has a cache, and the other changes the files behind it.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use e2e::mount::Mount;
use e2e::{bins, scratch};
use fastrand::Rng;

/// Bytes of the longest file: several of the cache's blocks.
const LONGEST: usize = 3 << 20;
/// Long reads and writes are of several of the cache's chunks.
const LONG: usize = 300_000;
const PAGE: usize = 4096;

/// A file that both change in turn, and what it has to be.
struct Story {
    random: Rng,
    /// The file by each of its two ways, the cached one first.
    paths: [PathBuf; 2],
    content: Vec<u8>,
    open: Option<Reader>,
}

/// A file that stays open at the client with the cache.
struct Reader {
    file: File,
    /// All that the file has been since.
    versions: Vec<Vec<u8>>,
}

impl Story {
    /// Changes the file by `path`.
    fn change(&mut self, path: &Path) -> Result<()> {
        let len = if self.random.bool() { self.random.usize(1..5000) } else { self.random.usize(1..LONG) };
        let mut data = vec![0; len];
        self.random.fill(&mut data);
        match self.random.u8(..10) {
            0..=4 => {
                let offset = self.random.usize(..=self.content.len().min(LONGEST));
                File::options().write(true).open(path)?.write_all_at(&data, offset as u64)?;
                self.content.resize(self.content.len().max(offset + len), 0);
                self.content[offset..offset + len].copy_from_slice(&data);
            }
            5 if self.content.len() < LONGEST => {
                File::options().append(true).open(path)?.write_all(&data)?;
                self.content.extend(data);
            }
            6 => {
                let size = self.random.usize(..LONGEST);
                File::options().write(true).open(path)?.set_len(size as u64)?;
                self.content.resize(size, 0);
            }
            7 => {
                let new = path.with_file_name("new");
                fs::write(&new, &data)?;
                fs::rename(&new, path)?;
                self.content = data;
                // It is of another file from now on.
                self.open = None;
            }
            8 => {
                // In place, of the same size.
                File::options().write(true).open(path)?.write_all_at(&data[..len.min(self.content.len())], 0)?;
                let end = len.min(self.content.len());
                self.content[..end].copy_from_slice(&data[..end]);
            }
            _ => {
                fs::write(path, &data)?;
                self.content = data;
            }
        }
        if let Some(reader) = &mut self.open {
            reader.versions.push(self.content.clone());
        }
        Ok(())
    }

    /// Reads a part of the file by `path`, or all of it.
    fn look(&mut self, path: &Path) -> Result<()> {
        if self.random.u8(..8) == 0 {
            ensure!(fs::read(path)? == self.content, "all of it");
            return Ok(());
        }
        let (offset, mut part) = (self.random.usize(..LONGEST), vec![0; self.random.usize(1..LONG)]);
        let file = File::open(path)?;
        let mut count = 0;
        while count < part.len() {
            match file.read_at(&mut part[count..], (offset + count) as u64)? {
                0 => break,
                more => count += more,
            }
        }
        let start = offset.min(self.content.len());
        let end = (start + part.len()).min(self.content.len());
        ensure!(part[..count] == self.content[start..end], "{} bytes at {offset}", part.len());
        Ok(())
    }

    /// Whoever has had the file open for a while sees it as it was then, or as it was later.
    fn look_on(&mut self) -> Result<()> {
        let reader = match &mut self.open {
            Some(reader) => reader,
            none => {
                let file = File::open(&self.paths[0])?;
                none.insert(Reader { file, versions: vec![self.content.clone()] })
            }
        };
        let offset = self.random.usize(..LONGEST) / PAGE * PAGE;
        let mut page = [0; PAGE];
        let count = reader.file.read_at(&mut page, offset as u64)?;
        let is_known = reader.versions.iter().any(|version| {
            let start = offset.min(version.len());
            version[start..].starts_with(&page[..count])
        });
        ensure!(is_known, "a page at {offset} of a file that is open is older than that");
        if self.random.u8(..20) == 0 {
            self.open = None;
        }
        Ok(())
    }

    fn step(&mut self) -> Result<()> {
        let paths = self.paths.clone();
        let by = |random: &mut Rng| usize::from(random.bool());
        match self.random.u8(..10) {
            0..=3 => {
                let changed_by = by(&mut self.random);
                self.change(&paths[changed_by])?;
                // The other one notices.
                self.look(&paths[1 - changed_by])
            }
            4..=7 => {
                let path = &paths[by(&mut self.random)];
                self.look(path)
            }
            _ => self.look_on(),
        }
    }
}

#[test]
fn whatever_others_change_is_read_from_then_on() -> Result<()> {
    const STEPS: usize = 500;
    // What the cache has room for, and what it has not.
    for (seed, size) in [(1, "64m"), (2, "1m")] {
        let (files, cache) = (scratch::memory()?, scratch::memory()?);
        let backend =
            format!("cache:{}?dir={}&size={size}&free=0&ttl=0", files.path().display(), cache.path().display());
        let mount = Mount::start(Command::new(bins::fusebridge()?).args(["mnt", "--access", "shared", &backend]))?;
        let paths = [mount.path(), files.path()].map(|path| path.join("file"));
        File::create(&paths[1])?;
        let mut story = Story { random: Rng::with_seed(seed), paths, content: Vec::new(), open: None };
        for step in 0..STEPS {
            story.step().with_context(|| format!("with {size}, step {step}"))?;
        }
        drop(story);
        mount.unmount()?;
    }
    Ok(())
}
