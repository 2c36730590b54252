//! Blocks of segments, in memory. A segment never changes, so nothing here is ever out of date.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Condvar, Mutex};
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};

use crate::node::Data;
use crate::record::Stored;

/// How much of the cache is for blocks that were used more than once. The rest is a queue: what was read ahead must stay
/// in it until it is used, however much there is that was used often.
const OFTEN: f64 = 0.25;

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
    fetching: Mutex<HashMap<BlockKey, Fetching>>,
    fetched: Condvar,
    claims: AtomicU64,
}

/// A block that is being fetched.
struct Fetching {
    /// The number of the claim.
    claim: u64,
    is_waited_for: bool,
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
        // One queue: of several, one could have most of what was read ahead.
        let options = OptionsBuilder::new()
            .estimated_items_capacity(items)
            .weight_capacity(bytes)
            .hot_allocation(OFTEN)
            .shards(1)
            .build()
            .expect("all that has no default is given");
        Blocks {
            cache: Cache::with_options(options, Weight, DefaultHashBuilder::default(), DefaultLifecycle::default()),
            fetching: Mutex::default(),
            fetched: Condvar::new(),
            claims: AtomicU64::new(0),
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
    /// returns is dropped, or [released](Claim::release).
    pub(crate) fn claim(&self, keys: impl IntoIterator<Item = BlockKey>) -> Claim<'_> {
        let number = self.claims.fetch_add(1, Ordering::Relaxed);
        let mut fetching = self.fetching.lock();
        let mut claimed = HashSet::new();
        for key in keys {
            if self.cache.peek(&key).is_none() && !fetching.contains_key(&key) {
                fetching.insert(key, Fetching { claim: number, is_waited_for: false });
                claimed.insert(key);
            }
        }
        drop(fetching);
        Claim { blocks: self, number, keys: claimed }
    }

    /// Waits until nobody fetches the block `key`.
    pub(crate) fn wait_for(&self, key: BlockKey) {
        let mut fetching = self.fetching.lock();
        while let Some(block) = fetching.get_mut(&key) {
            block.is_waited_for = true;
            self.fetched.wait(&mut fetching);
        }
    }
}

/// Blocks that the holder fetches; others who need them wait.
pub(crate) struct Claim<'a> {
    blocks: &'a Blocks,
    number: u64,
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

    /// Gives one of the blocks to those who wait for it, before the others are here.
    pub(crate) fn release(&self, key: BlockKey, data: Data) {
        self.blocks.put(key, data);
        self.end([key]);
    }

    fn end(&self, keys: impl IntoIterator<Item = BlockKey>) {
        let mut fetching = self.blocks.fetching.lock();
        let mut is_waited_for = false;
        for key in keys {
            // What was released may have left the cache and be claimed again.
            if let Entry::Occupied(block) = fetching.entry(key)
                && block.get().claim == self.number
            {
                is_waited_for |= block.remove().is_waited_for;
            }
        }
        drop(fetching);
        if is_waited_for {
            self.blocks.fetched.notify_all();
        }
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.end(self.keys.iter().copied());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const BLOCK: usize = 64 << 10;

    fn key(number: u32) -> BlockKey {
        BlockKey { volume: 0, segment: 1, offset: number }
    }

    fn data() -> Data {
        Arc::new(vec![7; BLOCK])
    }

    #[test]
    fn what_was_read_ahead_stays_until_it_is_used() {
        const ALL: u32 = 1024;
        let blocks = Blocks::new(ALL as u64 / 4 * BLOCK as u64);
        // Twice as many as there is room for, each read half of the cache behind the first that is not used yet.
        for number in 0..ALL {
            blocks.put(key(number), data());
            if let Some(used) = number.checked_sub(ALL / 8) {
                assert!(blocks.get(key(used)).is_some(), "{used}");
            }
        }
    }

    #[test]
    fn released_blocks_are_not_held_any_more() {
        let blocks = Blocks::new(1 << 20);
        let claim = blocks.claim([key(1), key(2)]);
        assert!(claim.contains(key(1)) && blocks.claim([key(1)]).is_empty());
        claim.release(key(1), data());
        blocks.wait_for(key(1));
        assert!(blocks.get(key(1)).is_some());
        blocks.cache.remove(&key(1));
        let other = blocks.claim([key(1), key(2)]);
        assert!(other.contains(key(1)) && !other.contains(key(2)));
        drop(claim);
        // The end of the first claim is not that of the second.
        assert!(blocks.claim([key(1)]).is_empty());
        assert!(blocks.claim([key(2)]).contains(key(2)));
        drop(other);
        assert!(blocks.claim([key(1)]).contains(key(1)));
    }
}
