//! What is in a cache's directory when it is opened.

use std::collections::HashSet;
use std::fs::{self, DirEntry, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::directory::{DATA, DIRTY, Directory, MAP, each_volume, is_shard, key_of};
use super::header::{HEADER, Key};
use super::map::{Map, block_of};
use super::policy::BlockKey;
use super::{BLOCK, CHUNK, OVERHEAD, index};
use crate::back::{JOURNAL, Journal, LOST};

/// Everything that is there.
#[derive(Default)]
pub(super) struct Found {
    /// Blocks with their bytes, the oldest first.
    pub(super) blocks: Vec<(BlockKey, u64)>,
    pub(super) files: u64,
    /// Directories that files are in.
    pub(super) directories: u64,
    pub(super) volumes: u64,
}

/// Finds all data, and removes what is left over of processes that were killed, or has the place of a file of ours.
pub(super) fn scan(directory: &Directory) -> io::Result<Found> {
    let mut found = Found::default();
    let mut dated = Vec::<(SystemTime, Key, u64, u64)>::new();
    for volume in directory.volumes()? {
        found.volumes += 1;
        for shard in fs::read_dir(directory.volume(volume))? {
            let shard = shard?;
            if !is_shard(&shard.file_name()) {
                continue;
            }
            if !shard.file_type()?.is_dir() {
                remove(&shard)?;
                continue;
            }
            for entry in fs::read_dir(shard.path())? {
                let entry = entry?;
                let name = entry.file_name();
                let Some((key, ending)) = name.to_str().and_then(|name| key_of(volume, name)) else { continue };
                let other = entry.path().with_extension(if ending == DATA { MAP } else { DATA });
                if !entry.file_type()?.is_file() || ![DATA, MAP].contains(&ending) || !is_file(&other) {
                    remove(&entry)?;
                } else if ending == DATA {
                    let stat = entry.metadata()?;
                    dated.push((stat.modified()?, key, stat.len(), stat.blocks() * 512));
                }
            }
            found.directories += u64::from(fs::remove_dir(shard.path()).is_err());
        }
    }
    dated.sort();
    for (_, key, len, bytes) in dated {
        found.files += 1;
        if len <= BLOCK {
            found.blocks.push((BlockKey { file: key, block: 0 }, bytes));
        } else {
            found.blocks.append(&mut blocks_of(directory, key, len));
        }
    }
    Ok(found)
}

fn is_file(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|stat| stat.is_file())
}

/// Removes what has the name of a file of ours, whatever it is.
fn remove(entry: &DirEntry) -> io::Result<()> {
    if entry.file_type()?.is_dir() { fs::remove_dir_all(entry.path()) } else { fs::remove_file(entry.path()) }
}

/// The blocks of a file that are there, as its map says.
fn blocks_of(directory: &Directory, key: Key, len: u64) -> Vec<(BlockKey, u64)> {
    let mut blocks = Vec::<(BlockKey, u64)>::new();
    let Ok(bytes) = fs::read(directory.file(key, MAP)) else { return blocks };
    let entries = bytes.get(index(HEADER)..).unwrap_or_default();
    for (chunk, _) in Map::from_bytes(entries).there() {
        let bytes = super::disk::on_disk(len.saturating_sub(chunk * CHUNK).min(CHUNK));
        let block = block_of(chunk);
        match blocks.last_mut() {
            Some((key, sum)) if key.block == block => *sum += bytes,
            _ => blocks.push((BlockKey { file: key, block }, bytes)),
        }
    }
    if blocks.is_empty() {
        // What is not in the map has a block all the same, with which the file goes.
        blocks.push((BlockKey { file: key, block: 0 }, 0));
    }
    blocks
}

/// Calls `with` with each file of a volume.
fn each_file(volume: &Path, mut with: impl FnMut(&DirEntry) -> io::Result<()>) -> io::Result<()> {
    for shard in fs::read_dir(volume)? {
        let shard = shard?;
        if shard.file_type()?.is_dir() {
            for entry in fs::read_dir(shard.path())? {
                with(&entry?)?;
            }
        }
    }
    Ok(())
}

/// What a volume has in a cache.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// The backend, as it was called.
    pub backend: String,
    /// How many files there is data of.
    pub files: u64,
    /// Bytes on the disk.
    pub bytes: u64,
    /// How many files have changes that the backend does not have.
    pub dirty_files: u64,
    /// Bytes of their journals.
    pub dirty_bytes: u64,
    /// How long the oldest of them has been there.
    pub dirty_age: Option<std::time::Duration>,
    /// How many files have changes that are set aside, since these are damaged or the files are gone.
    pub lost_files: u64,
    /// Bytes of their journals.
    pub lost_bytes: u64,
    /// Where it is.
    pub path: PathBuf,
}

/// Calls `with` with each journal of a volume.
pub(crate) fn each_journal(volume: &Path, mut with: impl FnMut(PathBuf)) -> io::Result<()> {
    let entries = match fs::read_dir(volume.join(DIRTY)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == JOURNAL) {
            with(path);
        }
    }
    Ok(())
}

/// Files that journals are of: one can have many.
#[derive(Default)]
struct Files {
    known: HashSet<u64>,
    /// Journals that do not say it.
    others: u64,
}

impl Files {
    fn add(&mut self, journal: &Path) {
        match Journal::ino_of(journal) {
            Some(ino) => drop(self.known.insert(ino)),
            None => self.others += 1,
        }
    }

    fn count(&self) -> u64 {
        self.known.len() as u64 + self.others
    }
}

/// What each volume has in the cache at `path`, which somebody may be using.
pub(crate) fn usage(path: &Path) -> io::Result<Vec<Usage>> {
    let (mut all, mut volumes) = (Vec::new(), Vec::new());
    each_volume(path, |_, volume| volumes.push(volume))?;
    for path in volumes {
        let mut backend = String::new();
        // Who is killed at the wrong moment leaves none.
        let _ = File::open(path.join("backend")).and_then(|mut file| file.read_to_string(&mut backend));
        let (mut dirty, mut lost) = (Files::default(), Files::default());
        let mut usage = Usage { backend: backend.trim_end().to_owned(), path: path.clone(), ..Usage::default() };
        each_file(&path, |entry| {
            match entry.metadata() {
                Ok(stat) if entry.path().extension().is_some_and(|ending| ending == DATA) => {
                    usage.files += 1;
                    usage.bytes += stat.blocks() * 512 + OVERHEAD;
                }
                Ok(stat) if entry.path().extension().is_some_and(|ending| ending == JOURNAL) => {
                    dirty.add(&entry.path());
                    usage.dirty_bytes += stat.len();
                    let age = stat.created().or_else(|_| stat.modified())?.elapsed().unwrap_or_default();
                    usage.dirty_age = usage.dirty_age.max(Some(age));
                }
                Ok(stat) if entry.path().extension().is_some_and(|ending| ending == LOST) => {
                    lost.add(&entry.path());
                    usage.lost_bytes += stat.len();
                }
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            Ok(())
        })?;
        (usage.dirty_files, usage.lost_files) = (dirty.count(), lost.count());
        all.push(usage);
    }
    all.sort_by(|one, other| one.backend.cmp(&other.backend));
    Ok(all)
}
