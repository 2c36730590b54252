//! Blocks of segments, in memory. A segment never changes, so nothing here is ever out of date.

use std::collections::HashSet;

use parking_lot::{Condvar, Mutex};
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::node::Data;
use crate::record::Stored;

/// Which block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct BlockKey {
    volume: u16,
    segment: u64,
    offset: u32,
}

impl From<&Stored> for BlockKey {
    fn from(stored: &Stored) -> Self {
        BlockKey { volume: stored.volume, segment: stored.segment, offset: stored.offset }
    }
}

/// Blocks that were used lately, and those that are being fetched.
pub(crate) struct Blocks {
    cache: Cache<BlockKey, Data, Weight>,
    fetching: Mutex<HashSet<BlockKey>>,
    fetched: Condvar,
}

#[derive(Clone)]
struct Weight;

impl Weighter<BlockKey, Data> for Weight {
    fn weight(&self, _: &BlockKey, data: &Data) -> u64 {
        // What the cache itself needs for each block counts, too.
        data.len() as u64 + 128
    }
}

impl Blocks {
    /// A cache of up to `bytes` bytes.
    pub(crate) fn new(bytes: u64) -> Self {
        let items = usize::try_from(bytes / (32 << 10)).unwrap_or(usize::MAX).max(16);
        Blocks {
            cache: Cache::with_weighter(items, bytes, Weight),
            fetching: Mutex::default(),
            fetched: Condvar::new(),
        }
    }

    /// A block, if it is here.
    pub(crate) fn get(&self, key: BlockKey) -> Option<Data> {
        self.cache.get(&key)
    }

    /// Puts a block in.
    pub(crate) fn put(&self, key: BlockKey, data: Data) {
        self.cache.insert(key, data);
    }

    /// Of `keys`, those that are neither here nor being fetched. They are now: the caller fetches them until what this
    /// returns is dropped.
    pub(crate) fn claim(&self, keys: impl IntoIterator<Item = BlockKey>) -> Claim<'_> {
        let mut fetching = self.fetching.lock();
        let keys = keys.into_iter().filter(|key| self.cache.peek(key).is_none() && fetching.insert(*key)).collect();
        Claim { blocks: self, keys }
    }

    /// Waits until nobody fetches the block `key`.
    pub(crate) fn wait_for(&self, key: BlockKey) {
        let mut fetching = self.fetching.lock();
        while fetching.contains(&key) {
            self.fetched.wait(&mut fetching);
        }
    }
}

/// Blocks that the holder fetches; others who need them wait.
pub(crate) struct Claim<'a> {
    blocks: &'a Blocks,
    keys: HashSet<BlockKey>,
}

impl Claim<'_> {
    /// Whether `key` is to be fetched by the holder.
    pub(crate) fn contains(&self, key: BlockKey) -> bool {
        self.keys.contains(&key)
    }

    /// Whether there is nothing to fetch.
    pub(crate) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        if self.keys.is_empty() {
            return;
        }
        let mut fetching = self.blocks.fetching.lock();
        for key in &self.keys {
            fetching.remove(key);
        }
        drop(fetching);
        self.blocks.fetched.notify_all();
    }
}
