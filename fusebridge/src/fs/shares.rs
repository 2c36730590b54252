//! Who has how many files open.
//!
//! Each open file costs this process a descriptor, and the server two. Whoever opens as many as there can be must not
//! take the last ones from others: those are for who has few.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use lisafs::Errno;
use parking_lot::Mutex;

/// All open files that cost descriptors.
pub(super) struct Shares {
    open: Mutex<Open>,
    most: usize,
    /// Whether the server has ever given a descriptor away. Then it has some for directories, too, of which it gives
    /// none.
    are_costly: AtomicBool,
}

#[derive(Default)]
struct Open {
    total: usize,
    by_process: HashMap<u32, usize>,
}

/// The right to one open file.
pub struct Share {
    shares: Arc<Shares>,
    process: u32,
}

impl Shares {
    /// For up to about `most` files.
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Shares { open: Mutex::default(), most, are_costly: AtomicBool::new(false) })
    }

    /// Lets `process` open one more file: `ENFILE` if few are left and it has more than a small part of all.
    pub(super) fn take(self: &Arc<Self>, process: u32) -> Result<Share, Errno> {
        let mut open = self.open.lock();
        let are_few_left = open.total >= self.most - self.most / 8;
        let own = open.by_process.entry(process).or_default();
        if are_few_left && *own > 0 && *own >= self.most / 16 {
            return Err(Errno::NFILE);
        }
        *own += 1;
        open.total += 1;
        Ok(Share { shares: self.clone(), process })
    }
}

impl Share {
    /// Counts a file that `is_costly` for sure, or may be like others. `None`: it costs nothing.
    pub(super) fn of(self, is_costly: bool) -> Option<Self> {
        let are_costly = &self.shares.are_costly;
        if is_costly && !are_costly.load(Ordering::Relaxed) {
            are_costly.store(true, Ordering::Relaxed);
        }
        are_costly.load(Ordering::Relaxed).then_some(self)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut open = self.shares.open.lock();
        open.total -= 1;
        if let Some(own) = open.by_process.get_mut(&self.process) {
            *own -= 1;
            if *own == 0 {
                open.by_process.remove(&self.process);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ones_are_for_who_has_few() {
        let shares = Shares::new(160);
        let mut greedy = Vec::new();
        while let Ok(share) = shares.take(1) {
            greedy.push(share);
        }
        assert_eq!(greedy.len(), 140);
        let modest: Vec<_> = (0..10).map(|_| shares.take(2).ok().unwrap()).collect();
        assert_eq!(shares.take(2).err(), Some(Errno::NFILE));
        drop(modest);
        assert_eq!(shares.take(1).err(), Some(Errno::NFILE));
        greedy.pop();
        greedy.push(shares.take(1).ok().unwrap());
        drop(greedy);
        assert!(shares.open.lock().by_process.is_empty());
    }
}
