//! Random changes that two clients make in turn, beside a model of what the files are.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::wait;
use fastrand::Rng;
use rustix::fs::{FallocateFlags, copy_file_range, fallocate};

use super::{Clients, Rules};

/// Bytes of the longest file: several of the cache's blocks.
const LONGEST: usize = 3 << 20;
/// Long reads and writes are of several of the cache's chunks.
const LONG: usize = 300_000;
const PAGE: usize = 4096;
const NAMES: [&str; 3] = ["a", "b", "c"];
/// For what is not known at once.
const LIMIT: Duration = Duration::from_secs(30);

/// Files that both change in turn, and what they have to be.
pub(super) struct Story {
    random: Rng,
    clients: Clients,
    files: BTreeMap<&'static str, Vec<u8>>,
    open: Vec<Reader>,
}

/// A file that stays open at the client with the cache.
struct Reader {
    /// The name, as long as it leads to it.
    name: Option<&'static str>,
    file: File,
    /// All that the file has been since.
    versions: Vec<Vec<u8>>,
}

impl Reader {
    /// It is as it was when the file was opened, or as it was later.
    fn look(&self, offset: usize) -> Result<()> {
        let mut page = [0; PAGE];
        let count = self.file.read_at(&mut page, offset as u64)?;
        let is_known = self.versions.iter().any(|version| {
            let start = offset.min(version.len());
            version[start..].starts_with(&page[..count])
        });
        ensure!(is_known, "a page at {offset} of a file that is open, {:?}, is older than that", self.name);
        Ok(())
    }
}

/// Bytes of a file at `offset`.
fn read(path: &Path, offset: usize, len: usize) -> io::Result<Vec<u8>> {
    let (file, mut bytes, mut count) = (File::open(path)?, vec![0; len], 0);
    while count < len {
        match file.read_at(&mut bytes[count..], (offset + count) as u64)? {
            0 => break,
            more => count += more,
        }
    }
    bytes.truncate(count);
    Ok(bytes)
}

fn to_change(path: &Path) -> io::Result<File> {
    File::options().read(true).write(true).open(path)
}

impl Story {
    pub(super) fn new(clients: Clients, seed: u64) -> Self {
        Story { random: Rng::with_seed(seed), clients, files: BTreeMap::new(), open: Vec::new() }
    }

    fn rules(&self) -> Rules {
        self.clients.rules
    }

    fn name(&mut self) -> &'static str {
        NAMES[self.random.usize(..NAMES.len())]
    }

    fn data(&mut self) -> Vec<u8> {
        let len = if self.random.bool() { self.random.usize(1..5000) } else { self.random.usize(1..LONG) };
        let mut data = vec![0; len];
        self.random.fill(&mut data);
        data
    }

    /// The directory as one of the two changes it.
    fn directory(&mut self, is_cached: bool) -> Result<PathBuf> {
        if is_cached {
            return self.clients.cached();
        }
        if !self.rules().is_shared() {
            // Nothing is open there any more.
            self.open.clear();
        }
        self.clients.behind()
    }

    /// Waits until a client who may not know it yet has heard whether there is a file at `path`.
    fn hear(&self, path: &Path, is_there: bool) -> Result<()> {
        wait::until("the other's change of a name is known", LIMIT, || path.exists() == is_there)
    }

    /// One of the two changes a file. Says which.
    fn change(&mut self, is_cached: bool) -> Result<&'static str> {
        let directory = self.directory(is_cached)?;
        let (name, data) = (self.name(), self.data());
        let path = directory.join(name);
        let old = self.files.get(name).cloned();
        if is_cached && self.rules().is_late() && self.random.bool() {
            self.hear(&path, old.is_some())?;
        }
        let Some(mut content) = old else {
            let written = fs::write(&path, &data);
            written.with_context(|| format!("{name} is made"))?;
            self.replace(name, Some(data));
            return Ok(name);
        };
        // Files do not grow for ever.
        let what = if content.len() > LONGEST { 6 } else { self.random.u8(..14) };
        let is_late = is_cached && self.rules().is_late();
        // Whoever has heard that there is no such file cannot open it.
        if is_late && what != 13 {
            self.hear(&path, true)?;
        }
        let mut change = || -> Result<()> {
            match what {
                0..=4 => {
                    let offset = self.random.usize(..=content.len().min(LONGEST));
                    to_change(&path)?.write_all_at(&data, offset as u64)?;
                    content.resize(content.len().max(offset + data.len()), 0);
                    content[offset..offset + data.len()].copy_from_slice(&data);
                }
                5 => {
                    File::options().append(true).open(&path)?.write_all(&data)?;
                    content.extend(&data);
                }
                6 => {
                    let size = self.random.usize(..LONGEST);
                    to_change(&path)?.set_len(size as u64)?;
                    content.resize(size, 0);
                }
                7 => {
                    // In place, of the same size.
                    let end = data.len().min(content.len());
                    to_change(&path)?.write_all_at(&data[..end], 0)?;
                    content[..end].copy_from_slice(&data[..end]);
                }
                8 => {
                    let (start, len) = (self.random.usize(..LONGEST), self.random.usize(1..LONG));
                    let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
                    fallocate(to_change(&path)?, flags, start as u64, len as u64)?;
                    let end = (start + len).min(content.len());
                    content[start.min(end)..end].fill(0);
                }
                9 => {
                    let (start, len) = (self.random.usize(..LONGEST), self.random.usize(1..LONG));
                    fallocate(to_change(&path)?, FallocateFlags::empty(), start as u64, len as u64)?;
                    content.resize(content.len().max(start + len), 0);
                }
                10 => {
                    // The second half behind the end.
                    let (file, half, end) = (to_change(&path)?, content.len() / 2, content.len());
                    let (mut from, mut to) = (half as u64, end as u64);
                    while from < end as u64 {
                        let left = end - usize::try_from(from)?;
                        ensure!(copy_file_range(&file, Some(&mut from), &file, Some(&mut to), left)? > 0, "the end");
                    }
                    content.extend_from_within(half..);
                }
                11 => {
                    let new = path.with_file_name("new");
                    fs::write(&new, &data)?;
                    fs::rename(&new, &path)?;
                }
                12 => fs::remove_file(&path)?,
                _ => fs::write(&path, &data)?,
            }
            Ok(())
        };
        change().with_context(|| format!("change {what} of {name}"))?;
        match what {
            11 => self.replace(name, Some(data)),
            12 => self.replace(name, None),
            13 => self.becomes(name, data),
            _ => self.becomes(name, content),
        }
        Ok(name)
    }

    /// The file `name` is this now.
    fn becomes(&mut self, name: &'static str, content: Vec<u8>) {
        for reader in self.open.iter_mut().filter(|reader| reader.name == Some(name)) {
            reader.versions.push(content.clone());
        }
        self.files.insert(name, content);
    }

    /// The name is that of another file from now on, or of none.
    fn replace(&mut self, name: &'static str, content: Option<Vec<u8>>) {
        for reader in self.open.iter_mut().filter(|reader| reader.name == Some(name)) {
            reader.name = None;
        }
        match content {
            Some(content) => self.files.insert(name, content),
            None => self.files.remove(name),
        };
    }

    /// One of the two looks at a file, and at what is said of it.
    fn look(&mut self, is_cached: bool, name: &'static str) -> Result<()> {
        let directory = if is_cached { self.clients.cached()? } else { self.clients.behind_to_look(name)? };
        let path = directory.join(name);
        let is_late = is_cached && self.rules().is_late();
        let Some(content) = self.files.get(name) else {
            let opened = File::open(&path).map(drop);
            let is_none = opened.as_ref().is_err_and(|error| error.kind() == ErrorKind::NotFound);
            ensure!(is_none, "{}, which was removed, can be opened: {opened:?}", path.display());
            return Ok(());
        };
        if is_late {
            self.hear(&path, true)?;
        }
        if self.random.u8(..8) == 0 {
            ensure!(fs::read(&path)? == *content, "all of {name}");
        } else {
            let (offset, len) = (self.random.usize(..LONGEST), self.random.usize(1..LONG));
            let start = offset.min(content.len());
            let end = (start + len).min(content.len());
            ensure!(read(&path, offset, len)? == content[start..end], "{len} bytes of {name} at {offset}");
        }
        if !is_late {
            let size = path.metadata()?.len();
            ensure!(size == content.len() as u64, "{name} has {} bytes, and is said to have {size}", content.len());
            let mut listed: Vec<_> = Vec::new();
            for entry in fs::read_dir(&directory)? {
                listed.push(entry?.file_name());
            }
            listed.sort();
            let names: Vec<&str> = self.files.keys().copied().collect();
            ensure!(listed == names, "{names:?} are listed as {listed:?}");
        }
        Ok(())
    }

    /// Whoever has had a file open for a while sees it as it was then, or as it was later.
    fn look_on(&mut self) -> Result<()> {
        if self.open.len() < 3 {
            let name = self.name();
            let Some(content) = self.files.get(name).cloned() else { return Ok(()) };
            let path = self.clients.cached()?.join(name);
            if self.rules().is_late() {
                self.hear(&path, true)?;
            }
            self.open.push(Reader { name: Some(name), file: File::open(path)?, versions: vec![content] });
        }
        let offset = self.random.usize(..LONGEST) / PAGE * PAGE;
        self.open.iter().try_for_each(|reader| reader.look(offset))?;
        if self.random.u8(..20) == 0 {
            self.open.clear();
        }
        Ok(())
    }

    pub(super) fn step(&mut self) -> Result<()> {
        let is_cached = self.random.bool();
        match self.random.u8(..10) {
            0..=3 => {
                let name = self.change(is_cached)?;
                // The other one notices.
                self.look(!is_cached, name)
            }
            4..=7 => {
                let name = self.name();
                self.look(is_cached, name)
            }
            _ => self.look_on(),
        }
    }

    /// Both have the same in the end, and so has who comes next.
    pub(super) fn end(mut self) -> Result<()> {
        for _ in 0..2 {
            for name in NAMES {
                self.look(false, name)?;
                self.look(true, name)?;
            }
            self.open.clear();
            self.clients.leave()?;
        }
        Ok(())
    }
}
