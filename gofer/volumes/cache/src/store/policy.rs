//! Which block goes when there is no room: S3-FIFO.
//!
//! New blocks come into a small queue of a tenth of the bytes. Those that were used again by its end go to the main
//! queue, the others go, and are remembered: if they come back soon, they come to the main queue at once. So what is
//! read once, as by a scan, passes through the small queue and leaves the main one alone.

use std::collections::{HashMap, HashSet, VecDeque};

use super::header::Key;

/// A block of a file, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct BlockKey {
    pub(crate) file: Key,
    pub(crate) block: u64,
}

/// How often a block was used counts up to this.
pub(super) const HOTTEST: u8 = 3;
/// How often a new block must have been used again to stay.
const STAYS: u8 = 2;
/// One of so many bytes is the small queue's.
const SMALL: u64 = 10;

#[derive(Debug)]
struct Block {
    bytes: u64,
    heat: u8,
    is_main: bool,
    /// Its place in a queue; places with other numbers are left over.
    ticket: u64,
}

/// The blocks of a cache in their order.
#[derive(Debug, Default)]
pub(super) struct Policy {
    blocks: HashMap<BlockKey, Block>,
    small: VecDeque<(BlockKey, u64)>,
    main: VecDeque<(BlockKey, u64)>,
    small_bytes: u64,
    bytes: u64,
    ghosts: VecDeque<BlockKey>,
    remembered: HashSet<BlockKey>,
    tickets: u64,
}

impl Policy {
    /// Bytes of all blocks.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    #[cfg(test)]
    fn blocks(&self) -> usize {
        self.blocks.len()
    }

    /// A block has `bytes` bytes more, or is new.
    pub(super) fn grow(&mut self, key: BlockKey, bytes: u64) {
        self.bytes += bytes;
        if let Some(block) = self.blocks.get_mut(&key) {
            block.bytes += bytes;
            self.small_bytes += if block.is_main { 0 } else { bytes };
            return;
        }
        let is_main = self.remembered.remove(&key);
        self.add(key, Block { bytes, heat: 0, is_main, ticket: 0 });
    }

    /// A block that was there before.
    pub(super) fn restore(&mut self, key: BlockKey, bytes: u64) {
        self.bytes += bytes;
        self.add(key, Block { bytes, heat: 0, is_main: true, ticket: 0 });
    }

    fn add(&mut self, key: BlockKey, mut block: Block) {
        self.tickets += 1;
        block.ticket = self.tickets;
        if block.is_main {
            self.main.push_back((key, self.tickets));
        } else {
            self.small_bytes += block.bytes;
            self.small.push_back((key, self.tickets));
        }
        self.blocks.insert(key, block);
    }

    /// A block is gone. Says how many bytes it had.
    pub(super) fn remove(&mut self, key: BlockKey) -> u64 {
        let Some(block) = self.blocks.remove(&key) else { return 0 };
        self.bytes -= block.bytes;
        self.small_bytes -= if block.is_main { 0 } else { block.bytes };
        self.tidy();
        block.bytes
    }

    /// Gives up places that are left over, if they are most.
    fn tidy(&mut self) {
        const FEW: usize = 1024;
        if self.small.len() + self.main.len() > 2 * self.blocks.len() + FEW {
            let is_used =
                |(key, ticket): &(BlockKey, u64)| self.blocks.get(key).is_some_and(|block| block.ticket == *ticket);
            self.small.retain(is_used);
            self.main.retain(is_used);
        }
    }

    /// A block was used.
    pub(super) fn heat(&mut self, key: BlockKey, times: u8) {
        if let Some(block) = self.blocks.get_mut(&key) {
            block.heat = block.heat.saturating_add(times).min(HOTTEST);
        }
    }

    /// The block that is to go next. It stays until it is [removed](Self::remove), but its turn comes only after all
    /// the others. `used` says how often a block was used since it was asked last.
    pub(super) fn victim(&mut self, mut used: impl FnMut(BlockKey) -> u8) -> Option<BlockKey> {
        while !self.blocks.is_empty() {
            let from_small = self.small_bytes > self.bytes / SMALL || self.main.is_empty();
            let queue = if from_small { &mut self.small } else { &mut self.main };
            let Some((key, ticket)) = queue.pop_front() else { continue };
            let Some(mut block) = self.blocks.remove(&key) else { continue };
            if block.ticket != ticket {
                self.blocks.insert(key, block);
                continue;
            }
            block.heat = block.heat.saturating_add(used(key)).min(HOTTEST);
            self.small_bytes -= if block.is_main { 0 } else { block.bytes };
            let stays = if block.is_main { block.heat > 0 } else { block.heat >= STAYS };
            if stays {
                block.heat = if block.is_main { block.heat - 1 } else { 0 };
                block.is_main = true;
                self.add(key, block);
                continue;
            }
            if !block.is_main {
                self.remember(key);
            }
            // Who cannot let it go now will be asked again.
            block.is_main = true;
            self.add(key, block);
            return Some(key);
        }
        None
    }

    fn remember(&mut self, key: BlockKey) {
        if self.remembered.insert(key) {
            self.ghosts.push_back(key);
        }
        // As many as there are blocks.
        while self.ghosts.len() > self.blocks.len() + 1 {
            if let Some(oldest) = self.ghosts.pop_front() {
                self.remembered.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(block: u64) -> BlockKey {
        BlockKey { file: Key { volume: 0, device: (0, 0), ino: 1 }, block }
    }

    /// A cache of blocks of one byte each.
    struct Cache {
        policy: Policy,
        room: u64,
        hits: u64,
    }

    impl Cache {
        fn new(room: u64) -> Self {
            Cache { policy: Policy::default(), room, hits: 0 }
        }

        fn read(&mut self, block: u64) {
            if self.policy.blocks.contains_key(&key(block)) {
                self.hits += 1;
                return self.policy.heat(key(block), 1);
            }
            while self.policy.bytes() >= self.room {
                let victim = self.policy.victim(|_| 0).unwrap();
                assert_eq!(self.policy.remove(victim), 1);
            }
            self.policy.grow(key(block), 1);
        }
    }

    #[test]
    fn a_scan_leaves_what_is_used() {
        let mut cache = Cache::new(100);
        for _ in 0..5 {
            (0..50).for_each(|block| cache.read(block));
        }
        (1000..10_000).for_each(|block| cache.read(block));
        let left = (0..50).filter(|block| cache.policy.blocks.contains_key(&key(*block))).count();
        assert_eq!(left, 50);
        assert_eq!((cache.policy.bytes(), cache.policy.blocks()), (100, 100));
    }

    #[test]
    fn what_comes_back_soon_stays() {
        let mut cache = Cache::new(100);
        (0..100).for_each(|block| cache.read(block));
        // It goes, is remembered, and comes back.
        cache.read(100);
        let gone = (0..100).find(|block| !cache.policy.blocks.contains_key(&key(*block))).unwrap();
        cache.read(gone);
        assert!(cache.policy.blocks[&key(gone)].is_main);
    }

    /// Numbers below `count`, of which number n comes up as often as 1/(n+1) says.
    fn zipf(count: u64, random: &mut fastrand::Rng) -> impl FnMut() -> u64 {
        let weights = (1..=count).map(|rank| 1.0 / rank as f64);
        let sums: Vec<f64> = weights
            .scan(0.0, |sum, weight| {
                *sum += weight;
                Some(*sum)
            })
            .collect();
        let end = sums[sums.len() - 1];
        move || {
            let at = random.f64() * end;
            sums.partition_point(|sum| *sum < at) as u64
        }
    }

    #[test]
    fn twice_as_much_as_there_is_room_for_is_mostly_hit() {
        const ROOM: u64 = 1000;
        const READS: u64 = 100_000;
        let mut random = fastrand::Rng::with_seed(1);
        let mut next = zipf(2 * ROOM, &mut random);
        let (mut cache, mut best) = (Cache::new(ROOM), 0);
        for _ in 0..READS {
            let block = next();
            cache.read(block);
            // No policy does better than to keep those that come up most.
            best += u64::from(block < ROOM);
        }
        let (hits, best) = (cache.hits * 100 / READS, best * 100 / READS);
        assert!(hits + 4 >= best, "{hits} % of reads are hits; at best {best} %");
    }

    #[test]
    fn counts_are_right_whatever_happens() {
        let mut random = fastrand::Rng::with_seed(15);
        let mut policy = Policy::default();
        let mut all = HashMap::<BlockKey, u64>::new();
        for _ in 0..20_000 {
            let key = key(random.u64(0..200));
            match random.u8(0..4) {
                0 => {
                    policy.grow(key, 3);
                    *all.entry(key).or_default() += 3;
                }
                1 => assert_eq!(policy.remove(key), all.remove(&key).unwrap_or(0)),
                2 => policy.heat(key, random.u8(0..5)),
                _ => {
                    let victim = policy.victim(|_| 0);
                    assert_eq!(victim.is_some(), !all.is_empty());
                    if let Some(victim) = victim.filter(|_| random.bool()) {
                        assert_eq!(Some(policy.remove(victim)), all.remove(&victim));
                    }
                }
            }
            assert_eq!(policy.bytes(), all.values().sum::<u64>());
            assert_eq!(policy.blocks(), all.len());
            assert!(policy.small.len() + policy.main.len() < 2000);
        }
    }
}
