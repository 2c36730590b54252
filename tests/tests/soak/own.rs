//! A file that one user changes, in all ways there are, and so knows. Others look at it.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use fastrand::Rng;
use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use crate::{forget, read};

/// No file gets longer: several blocks of a cache.
const LONGEST: usize = 3 << 20;
/// Long writes are of several chunks.
const LONG: usize = 300_000;

pub(crate) struct Own {
    directory: PathBuf,
    user: usize,
    random: Rng,
    /// Names are never used again, or always.
    number: usize,
    content: Vec<u8>,
    /// One that stays open for a while, with what it has to be if it is another file by now.
    open: Option<(File, Option<Vec<u8>>)>,
    last: &'static str,
}

impl Own {
    pub(crate) fn new(directory: &Path, user: usize) -> Result<Self> {
        let random = Rng::with_seed(fastrand::u64(..));
        let directory = directory.to_path_buf();
        let own = Own { directory, user, random, number: 0, content: Vec::new(), open: None, last: "new" };
        File::create_new(own.path())?;
        Ok(own)
    }

    pub(crate) fn close(&mut self) {
        self.open = None;
    }

    pub(crate) fn moved_to(&mut self, directory: &Path) {
        self.directory = directory.to_path_buf();
    }

    fn name(&self, number: usize) -> PathBuf {
        self.directory.join(format!("own-{}-{}", self.user, number % 3))
    }

    fn path(&self) -> PathBuf {
        self.name(self.number)
    }

    /// The file, opened some time ago or just now.
    fn file(&mut self) -> Result<File> {
        let is_current = self.open.as_ref().is_some_and(|(_, old)| old.is_none());
        if is_current && self.random.bool() {
            return Ok(self.open.as_ref().context("open")?.0.try_clone()?);
        }
        let file = File::options().read(true).write(true).open(self.path()).context("open")?;
        if self.open.is_none() || self.random.u8(0..8) == 0 {
            self.open = Some((file.try_clone()?, None));
        }
        Ok(file)
    }

    fn bytes(&mut self) -> Vec<u8> {
        let len = if self.random.bool() { self.random.usize(1..5000) } else { self.random.usize(1..LONG) };
        let mut bytes = vec![0; len];
        self.random.fill(&mut bytes);
        bytes
    }

    fn put(&mut self, offset: usize, bytes: &[u8]) {
        let end = offset + bytes.len();
        self.content.resize(self.content.len().max(end), 0);
        self.content[offset..end].copy_from_slice(bytes);
    }

    /// The file is no longer the one that is open.
    fn is_replaced(&mut self) {
        let old = self.content.clone();
        if let Some((_, content @ None)) = &mut self.open {
            *content = Some(old);
        }
    }

    /// Changes the file, and looks at it.
    pub(crate) fn step(&mut self) -> Result<()> {
        self.last = self.change()?;
        self.look().with_context(|| self.last)
    }

    fn change(&mut self) -> Result<&'static str> {
        let offset = self.random.usize(0..LONGEST - LONG);
        Ok(match self.random.u8(0..16) {
            0..=3 => {
                let (file, bytes) = (self.file()?, self.bytes());
                file.write_all_at(&bytes, offset as u64).context("write")?;
                self.put(offset, &bytes);
                "after a write"
            }
            4 | 5 if self.content.len() + LONG < LONGEST => {
                let bytes = self.bytes();
                File::options().append(true).open(self.path())?.write_all(&bytes).context("append")?;
                self.put(self.content.len(), &bytes);
                "after it grew"
            }
            4..=6 => {
                self.file()?.set_len(offset as u64).context("truncate")?;
                self.content.resize(offset, 0);
                "after a truncation"
            }
            7 => {
                let len = self.random.usize(1..LONG);
                let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
                match fallocate(self.file()?, flags, offset as u64, len as u64) {
                    Err(Errno::OPNOTSUPP) => {}
                    made => {
                        made.context("punch")?;
                        let size = self.content.len();
                        self.content[offset.min(size)..(offset + len).min(size)].fill(0);
                    }
                }
                "after a hole was made"
            }
            8 => {
                let bytes = self.bytes();
                fs::write(self.path(), &bytes).context("empty and write")?;
                self.content = bytes;
                "after it was written anew"
            }
            9 => {
                self.is_replaced();
                let (new, bytes) = (self.directory.join(format!("new-{}", self.user)), self.bytes());
                fs::write(&new, &bytes).context("new")?;
                fs::rename(&new, self.path()).context("replace")?;
                self.content = bytes;
                "after it was replaced"
            }
            10 => {
                self.is_replaced();
                fs::remove_file(self.path()).context("remove")?;
                let gone = fs::metadata(self.path()).map_err(|error| error.kind());
                ensure!(gone.is_err_and(|kind| kind == ErrorKind::NotFound), "it is still there");
                let bytes = self.bytes();
                let mut file = File::options().create_new(true).read(true).write(true).open(self.path())?;
                file.write_all(&bytes).context("write what is new")?;
                self.content = bytes;
                self.check(&file).context("by the file that was made")?;
                "after it was removed and made again"
            }
            11 => {
                let (old, new) = (self.path(), self.name(self.number + 1));
                fs::rename(old, new).context("rename")?;
                self.number += 1;
                "after it was renamed"
            }
            12 => {
                let (old, new) = (self.path(), self.name(self.number + 1));
                fs::hard_link(&old, new).context("link")?;
                let (file, bytes) = (self.file()?, self.bytes());
                file.write_all_at(&bytes, offset as u64).context("write by another name")?;
                self.put(offset, &bytes);
                fs::remove_file(old).context("remove a name")?;
                self.number += 1;
                "after it got another name"
            }
            13 => {
                self.file()?.sync_all().context("fsync")?;
                "after it was synced"
            }
            14 => {
                let size = self.content.len();
                let bytes = self.bytes();
                let offset = size.saturating_sub(self.random.usize(0..5000)).min(LONGEST);
                let file = self.file()?;
                file.write_all_at(&bytes, offset as u64).context("write at the end")?;
                self.put(offset, &bytes);
                file.set_len((offset + bytes.len() / 2) as u64)?;
                self.content.truncate(offset + bytes.len() / 2);
                "after it grew and was cut"
            }
            _ => {
                self.close();
                "after it was closed"
            }
        })
    }

    /// Reads a part.
    pub(crate) fn look(&mut self) -> Result<()> {
        let file = self.file()?;
        if self.random.bool() {
            forget(&file)?;
        }
        let offset = self.random.usize(0..=self.content.len());
        let len = self.random.usize(1..LONG);
        let expected = &self.content[offset..(offset + len).min(self.content.len())];
        same(&read(&file, offset as u64, len)?, expected, offset)?;
        if self.random.u8(0..16) == 0 {
            self.check(&file)?;
            if let Some((file, Some(content))) = &self.open {
                same(&read(file, 0, content.len() + 1)?, content, 0).context("what was open")?;
                self.open = None;
            }
        }
        let by_name = fs::metadata(self.path())?.len();
        ensure!(by_name == self.content.len() as u64, "{by_name} bytes by name, not {}", self.content.len());
        Ok(())
    }

    fn check(&self, file: &File) -> Result<()> {
        let size = file.metadata()?.len();
        ensure!(size == self.content.len() as u64, "{size} bytes, not {}", self.content.len());
        same(&read(file, 0, self.content.len() + 1)?, &self.content, 0)
    }

    /// Reads all, and looks for names that there must not be.
    pub(crate) fn is_there(&self) -> Result<()> {
        let own = |name: &str| name.starts_with(&format!("own-{}-", self.user));
        let names = fs::read_dir(&self.directory)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
        let is_own = |path: &&PathBuf| path.file_name().and_then(|name| name.to_str()).is_some_and(own);
        let names: Vec<_> = names.iter().filter(is_own).collect();
        ensure!(names == [&self.path()], "{names:?}");
        self.check(&File::open(self.path())?).with_context(|| format!("user {}, {}", self.user, self.last))
    }
}

/// Where two contents differ, said in few words.
fn same(found: &[u8], expected: &[u8], offset: usize) -> Result<()> {
    ensure!(found.len() == expected.len(), "{} bytes at {offset}, not {}", found.len(), expected.len());
    let Some(first) = (0..found.len()).find(|at| found[*at] != expected[*at]) else { return Ok(()) };
    let last = (0..found.len()).rfind(|at| found[*at] != expected[*at]).unwrap_or(first);
    let is_zero = found[first..=last].iter().all(|byte| *byte == 0);
    let what = if is_zero { "zeros" } else { "other bytes" };
    anyhow::bail!("{what} from {} to {} of {} bytes at {offset}", offset + first, offset + last, found.len())
}
