//! The disk of a cache: data of files, in files of a directory.
//!
//! Each file with data here has two: `NAME.data` with its bytes, each where it is in the file itself, and `NAME.map`
//! with a header (which file, which version) and a checksum for each chunk that is there. What is not in the map is not
//! there, so that a process that is killed at any moment leaves a cache that is right.
//!
//! # Locks
//!
//! In this order: a [`CacheFile`]'s gate, the [table](Store::table), heats, a [`CacheFile`]'s map. Whoever has the gate
//! of one file only tries that of another.

mod background;
mod directory;
mod disk;
mod file;
mod header;
mod limits;
mod map;
mod policy;
mod scan;

pub use directory::DirectoryError;
pub(crate) use directory::{Directory, owner, problem, write_private};
pub(crate) use disk::on_disk;
pub(crate) use file::{CacheFile, Pin, Source, Want};
pub(crate) use header::Key;
use limits::Lack;
pub use limits::Limits;
pub use scan::Usage;
pub(crate) use scan::{each_journal, usage};

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::stats::Stats;
use background::Background;
use map::Heat;
use policy::{BlockKey, Policy};

/// Bytes of a chunk: what has a checksum, and the least that is fetched.
pub(crate) const CHUNK: u64 = 64 << 10;
/// Bytes of a block: what is fetched for a sequential reader, and what goes when there is no room.
pub(crate) const BLOCK: u64 = 1 << 20;

/// What a file costs besides its data: two inodes, and its map.
const OVERHEAD: u64 = 8 << 10;
/// What a directory takes at least.
const DIRECTORY: u64 = 4 << 10;
/// What a cache has besides files: its directory and the one of its volumes, the lock and the format.
const FIXED: u64 = 2 * DIRECTORY + (8 << 10);
/// The same of a volume: two directories, and what says which backend and which root it is of.
const OF_VOLUME: u64 = 2 * DIRECTORY + (8 << 10);
/// How often another victim is looked for if one cannot go.
const TRIES: usize = 64;
/// How long a disk that has failed is left alone.
const PAUSE: Duration = Duration::from_secs(5);

/// The disk of a cache, which all volumes of this process with this directory share.
pub(crate) struct Store {
    directory: Directory,
    limits: Limits,
    table: Mutex<Table>,
    /// When the disk may be used again.
    trouble: Mutex<Option<Instant>>,
    /// Whether somebody was told that the disk has no room.
    has_told: AtomicBool,
    pub(crate) background: Background,
    pub(crate) stats: Stats,
}

#[derive(Default)]
struct Table {
    /// The files that this process has open.
    live: HashMap<Key, Live>,
    policy: Policy,
    /// Bytes beside those of the blocks: what files cost, and what is about to be written.
    other: u64,
}

struct Live {
    file: Weak<CacheFile>,
    heat: Arc<Heat>,
}

impl Store {
    /// Takes the directory at `path`, with what is there.
    pub(crate) fn open(path: &Path, limits: Limits) -> Result<Arc<Self>, DirectoryError> {
        let directory = Directory::take(path)?;
        let failed = |source| DirectoryError::Io { path: directory.path().to_path_buf(), source };
        let background = Background::start().map_err(failed)?;
        let found = scan::scan(&directory).map_err(failed)?;
        let other = FIXED + found.volumes * OF_VOLUME + found.directories * DIRECTORY + found.files * OVERHEAD;
        let mut table = Table { other, ..Table::default() };
        for (key, bytes) in found.blocks {
            table.policy.restore(key, bytes);
        }
        let limits = limits.on(&directory);
        let (table, trouble) = (Mutex::new(table), Mutex::default());
        let (has_told, stats) = (AtomicBool::new(false), Stats::default());
        let store = Arc::new(Store { background, directory, limits, table, trouble, has_told, stats });
        // The limit may be smaller than it was.
        if store.reserve(0) {
            store.release(0);
        }
        Ok(store)
    }

    pub(crate) fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Makes the directory of the volume that `backend` stands for.
    pub(crate) fn make_volume(&self, volume: u64, backend: &str) -> io::Result<()> {
        if self.directory.make_volume(volume, backend)? {
            self.claim(OF_VOLUME);
        }
        Ok(())
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Bytes on the disk.
    pub(crate) fn bytes(&self) -> u64 {
        let table = self.table.lock();
        table.policy.bytes() + table.other
    }

    /// The file `key`, whether there is data of it or not.
    pub(crate) fn file(self: &Arc<Self>, key: Key) -> Arc<CacheFile> {
        loop {
            let mut table = self.table.lock();
            match table.live.get(&key).map(|live| live.file.upgrade()) {
                Some(Some(file)) => return file,
                // It is being dropped, and perhaps its data is removed: the next one's is not to be taken for that.
                Some(None) => {}
                None => {
                    let heat = Arc::default();
                    let file = Arc::new(CacheFile::new(self.clone(), key, Arc::clone(&heat)));
                    table.live.insert(key, Live { file: Arc::downgrade(&file), heat });
                    return file;
                }
            }
            drop(table);
            std::thread::yield_now();
        }
    }

    /// Forgets that a file is open, which is being dropped.
    fn dropped(&self, key: Key) {
        let mut table = self.table.lock();
        let Table { live, policy, .. } = &mut *table;
        let Some(one) = live.get(&key).filter(|one| one.file.strong_count() == 0) else { return };
        for (block, times) in one.heat.take() {
            policy.heat(BlockKey { file: key, block }, times);
        }
        live.remove(&key);
    }

    /// Makes room for `bytes` more, which are then to be given to a [block](Self::commit) or
    /// [released](Self::release). `false` if there is no room, or the disk does not work.
    pub(crate) fn reserve(self: &Arc<Self>, bytes: u64) -> bool {
        if self.is_in_trouble() {
            return false;
        }
        let mut tries = TRIES;
        while tries > 0 {
            let lack = match self.limits.lack(&self.directory, bytes) {
                Ok(lack) => lack,
                Err(error) => {
                    self.failed(&error);
                    break;
                }
            };
            let victim = {
                let mut table = self.table.lock();
                let Table { live, policy, other } = &mut *table;
                if lack.is_none() && policy.bytes() + *other + bytes <= self.limits.size {
                    *other += bytes;
                    return true;
                }
                policy.victim(|key| live.get(&key.file).map_or(0, |live| live.heat.take_one(key.block)))
            };
            let Some(victim) = victim else {
                self.tell_of_room(lack);
                break;
            };
            if !self.file(victim.file).evict(victim.block) {
                tries -= 1;
            }
        }
        self.stats.refused.add(1);
        false
    }

    /// Says once why nothing is kept, if that is because of the disk.
    fn tell_of_room(&self, lack: Option<Lack>) {
        if let Some(lack) = lack
            && !self.has_told.swap(true, Ordering::Relaxed)
        {
            tracing::warn!("the cache in {} keeps nothing more: {lack}", self.directory.path().display());
        }
    }

    /// Takes `bytes` more, whether there is room for them or not.
    pub(crate) fn claim(&self, bytes: u64) {
        self.table.lock().other += bytes;
    }

    /// Gives back what was reserved.
    pub(crate) fn release(&self, bytes: u64) {
        let mut table = self.table.lock();
        table.other = table.other.saturating_sub(bytes);
    }

    /// Makes reserved `bytes` those of a block.
    fn commit(&self, file: Key, block: u64, bytes: u64) {
        let mut table = self.table.lock();
        table.other = table.other.saturating_sub(bytes);
        table.policy.grow(BlockKey { file, block }, bytes);
    }

    /// A block is no longer there.
    fn removed(&self, file: Key, block: u64) -> u64 {
        self.table.lock().policy.remove(BlockKey { file, block })
    }

    /// Blocks are no longer there.
    fn remove_all(&self, file: Key, blocks: impl IntoIterator<Item = u64>) {
        let mut table = self.table.lock();
        for block in blocks {
            table.policy.remove(BlockKey { file, block });
        }
    }

    /// Whether the disk has failed just now.
    pub(crate) fn is_in_trouble(&self) -> bool {
        self.trouble.lock().is_some_and(|end| Instant::now() < end)
    }

    /// The disk has failed: for a while it is left alone, and everything comes from the backend.
    pub(crate) fn failed(&self, error: &io::Error) {
        let end = Instant::now() + PAUSE;
        self.stats.failures.add(1);
        if self.trouble.lock().replace(end).is_none_or(|end| end < Instant::now()) {
            let path = self.directory.path().display();
            if self.directory.is_gone() {
                if !self.has_told.swap(true, Ordering::Relaxed) {
                    tracing::warn!("the cache in {path} was removed, and is used again when it is opened anew");
                }
                return;
            }
            tracing::warn!("the cache in {path} has failed, reading from the backend: {error}");
        }
    }
}

/// `number` as an index or a length, which it is because it comes from one.
#[expect(clippy::cast_possible_truncation, reason = "machines are of 64 bits")]
pub(crate) const fn index(number: u64) -> usize {
    const { assert!(usize::BITS == 64) };
    number as usize
}
