//! How much there may be, and how much there is.

use std::sync::atomic::{AtomicU64, Ordering};

use nix::sys::sysinfo::sysinfo;

use lisafs::backend::{Error, Result, StatFs};

/// Bytes of a block, as statistics count.
pub(super) const BLOCK: u64 = 4096;

/// Even without a limit there are no more names than a directory can count.
const MOST_NAMES: u64 = u32::MAX as u64 - 2;

/// As `tmpfs` says: programs that ask know what it means.
const MAGIC: u64 = 0x0102_1994;

/// The bytes and names of a file system. They are taken before something is made and given back when it is dropped.
#[derive(Debug)]
pub(super) struct Space {
    bytes: Counter,
    names: Counter,
    names_limited: bool,
}

#[derive(Debug)]
struct Counter {
    limit: u64,
    used: AtomicU64,
}

/// All memory of the machine. If the kernel does not tell, there is no limit.
pub(super) fn all_memory() -> u64 {
    sysinfo().map_or(u64::MAX >> 1, |info| info.ram_total())
}

impl Space {
    /// Room for `size` bytes, or as many as the machine has, and `names` files.
    pub(super) fn new(size: Option<u64>, names: Option<u64>) -> Self {
        let counter = |limit| Counter { limit, used: AtomicU64::new(0) };
        Space {
            bytes: counter(size.unwrap_or_else(all_memory)),
            names: counter(names.unwrap_or(MOST_NAMES).min(MOST_NAMES)),
            names_limited: names.is_some(),
        }
    }

    /// Takes `bytes`; `ENOSPC` if there are not so many.
    pub(super) fn take(&self, bytes: u64) -> Result<()> {
        if self.bytes.take(bytes, bytes).is_some() { Ok(()) } else { Err(Error::NOSPC) }
    }

    /// Takes `bytes`, or as many as there are.
    pub(super) fn take_some(&self, bytes: u64) -> u64 {
        self.bytes.take(0, bytes).unwrap_or(0)
    }

    /// Takes `bytes` that are in use already.
    pub(super) fn take_regardless(&self, bytes: u64) {
        self.bytes.used.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Gives `bytes` back.
    pub(super) fn give(&self, bytes: u64) {
        self.bytes.give(bytes);
    }

    /// Takes a name; `ENOSPC` if there is none left.
    pub(super) fn take_name(&self) -> Result<()> {
        if self.names.take(1, 1).is_some() { Ok(()) } else { Err(Error::NOSPC) }
    }

    /// Takes the name of the root, without which there is nothing.
    pub(super) fn take_root_name(&self) {
        self.names.used.fetch_add(1, Ordering::Relaxed);
    }

    /// Gives a name back.
    pub(super) fn give_name(&self) {
        self.names.give(1);
    }

    /// What statistics say. A number of files that is not limited is told as 0, as `tmpfs` does.
    pub(super) fn stat_fs(&self) -> StatFs {
        let blocks_free = self.bytes.free() / BLOCK;
        let (files, files_free) = if self.names_limited { (self.names.limit, self.names.free()) } else { (0, 0) };
        StatFs {
            kind: MAGIC,
            block_size: BLOCK.cast_signed(),
            blocks: self.bytes.limit / BLOCK,
            blocks_free,
            blocks_available: blocks_free,
            files,
            files_free,
            name_length: super::dir::MAX_NAME as u64,
        }
    }

    /// Bytes and names in use.
    #[cfg(test)]
    pub(super) fn used(&self) -> (u64, u64) {
        (self.bytes.used.load(Ordering::Relaxed), self.names.used.load(Ordering::Relaxed))
    }
}

impl Counter {
    fn free(&self) -> u64 {
        self.limit.saturating_sub(self.used.load(Ordering::Relaxed))
    }

    /// Takes up to `most`, and at least `least` or nothing.
    fn take(&self, least: u64, most: u64) -> Option<u64> {
        let mut taken = 0;
        let take = |used: u64| {
            taken = most.min(self.limit.saturating_sub(used));
            (taken >= least).then(|| used + taken)
        };
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).ok().map(|_| taken)
    }

    fn give(&self, amount: u64) {
        let before = self.used.fetch_sub(amount, Ordering::Relaxed);
        debug_assert!(before >= amount, "more was given back than taken");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_taken_beyond_the_limit() {
        let space = Space::new(Some(100), Some(1));
        assert_eq!(space.take(60), Ok(()));
        assert_eq!(space.take(41), Err(Error::NOSPC));
        assert_eq!(space.take_some(50), 40);
        assert_eq!(space.take_some(50), 0);
        space.give(10);
        assert_eq!(space.take(10), Ok(()));
        assert_eq!((space.take_name(), space.take_name()), (Ok(()), Err(Error::NOSPC)));
        space.give_name();
        assert_eq!(space.take_name(), Ok(()));
    }

    #[test]
    fn statistics_tell_the_limits() {
        let space = Space::new(Some(10 * BLOCK), Some(7));
        space.take(BLOCK + 1).unwrap();
        space.take_name().unwrap();
        let stat = space.stat_fs();
        assert_eq!((stat.blocks, stat.blocks_free, stat.blocks_available), (10, 8, 8));
        assert_eq!((stat.files, stat.files_free), (7, 6));
        let unlimited = Space::new(None, None).stat_fs();
        assert_eq!((unlimited.blocks, unlimited.files), (all_memory() / BLOCK, 0));
    }
}
