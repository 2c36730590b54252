//! Files that are in use, and what is known of them.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Weak};

use parking_lot::{Mutex, MutexGuard};

use crate::record::{Chunk, Inode};
use crate::volume::Volume;

/// The root's number.
pub(crate) const ROOT: u64 = 1;

/// Successive chunks that are looked up together for who reads far ahead.
pub(crate) const LOOKED_UP: u64 = 64;

/// Chunks that a file remembers.
const CHUNKS: usize = 256;

/// A file of any type. There is one for each number, as long as somebody uses it or it has changes to commit.
pub(crate) struct Node {
    pub(crate) ino: u64,
    pub(crate) volume: Weak<Volume>,
    state: Mutex<State>,
}

/// What is known of a file.
pub(crate) struct State {
    /// Its attributes.
    pub(crate) inode: Inode,
    /// What [`Meta::version`](crate::meta::Meta::version) was when they were read.
    pub(crate) version: u64,
    /// Blocks from here on have never been in the database.
    pub(crate) committed: u64,
    /// Blocks from here on are holes, whatever the database says: the file was cut since the last commit.
    pub(crate) keep: u64,
    /// The same for cuts since the commit under way has looked.
    pub(crate) next_keep: u64,
    /// Blocks with changes to commit.
    pub(crate) dirty: BTreeMap<u64, Dirty>,
    /// Where other blocks are, as far as remembered.
    chunks: HashMap<u64, Arc<Chunk>>,
    /// How often `chunks` was forgotten.
    pub(crate) forgotten: u64,
}

/// The data of a block. Copied if it changes while a commit writes it.
pub(crate) type Data = Arc<Vec<u8>>;

/// A block with changes to commit.
pub(crate) struct Dirty {
    /// What is in it, zeros at the end left out; `None` is a hole.
    pub(crate) data: Option<Data>,
}

impl Dirty {
    /// Bytes of data.
    pub(crate) fn held(&self) -> u64 {
        self.data.as_ref().map_or(0, |data| data.len() as u64)
    }
}

impl Node {
    /// A file with attributes from the database.
    pub(crate) fn new(volume: &Arc<Volume>, ino: u64, inode: Inode, version: u64) -> Arc<Self> {
        let committed = inode.size.div_ceil(volume.block());
        Self::make(volume, ino, inode, version, committed)
    }

    /// A file that is not in the database yet.
    pub(crate) fn created(volume: &Arc<Volume>, ino: u64, inode: Inode) -> Arc<Self> {
        Self::make(volume, ino, inode, 0, 0)
    }

    fn make(volume: &Arc<Volume>, ino: u64, inode: Inode, version: u64, committed: u64) -> Arc<Self> {
        let state = State {
            inode,
            version,
            committed,
            keep: u64::MAX,
            next_keep: u64::MAX,
            dirty: BTreeMap::new(),
            chunks: HashMap::new(),
            forgotten: 0,
        };
        Arc::new(Node { ino, volume: Arc::downgrade(volume), state: Mutex::new(state) })
    }

    /// Looks at it or changes it. No other lock but that of the table of changed files is taken meanwhile, and the
    /// store is not waited for.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

impl State {
    /// Blocks from here on are not in the database.
    pub(crate) fn limit(&self) -> u64 {
        self.committed.min(self.keep)
    }

    /// Drops what the database has from block `first` on.
    pub(crate) fn cut_from(&mut self, first: u64) {
        if first < self.committed {
            self.keep = self.keep.min(first);
            self.next_keep = self.next_keep.min(first);
        }
    }

    /// A chunk that is remembered; an empty one if it cannot be in the database.
    pub(crate) fn chunk(&self, chunk: u64) -> Option<Arc<Chunk>> {
        if chunk * crate::record::CHUNK_BLOCKS >= self.limit() {
            return Some(Arc::default());
        }
        self.chunks.get(&chunk).cloned()
    }

    /// Remembers what was read from the database when [`forgotten`](Self::forgotten) was `then`.
    pub(crate) fn remember(&mut self, chunk: u64, content: Arc<Chunk>, then: u64) {
        if self.forgotten != then {
            return;
        }
        if self.chunks.len() >= CHUNKS {
            self.chunks.clear();
        }
        self.chunks.insert(chunk, content);
    }

    /// Makes sure that [`LOOKED_UP`] more are remembered together.
    pub(crate) fn make_room(&mut self) {
        if self.chunks.len() as u64 + LOOKED_UP > CHUNKS as u64 {
            self.chunks.clear();
        }
    }

    /// Forgets where blocks are: a commit has moved some.
    pub(crate) fn forget(&mut self) {
        self.chunks.clear();
        self.forgotten += 1;
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let state = self.state.get_mut();
        if let Some(volume) = self.volume.upgrade() {
            volume.commits.waits(0, state.dirty.values().map(Dirty::held).sum());
            volume.dropped(self.ino, &state.inode);
        }
    }
}
