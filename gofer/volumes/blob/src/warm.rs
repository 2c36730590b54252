//! Metadata that will be asked for next: read from the store by few requests, before that.
//!
//! Whoever lists a directory looks at its files, and often at the directories in it. Each record that is not in memory
//! costs a request of its own, one after the other. But files that were made together have numbers next to each other,
//! and so are their records.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::task::JoinHandle;

use crate::key;
use crate::record::{Entry, S_IFDIR, S_IFMT};
use crate::volume::Volume;

/// So many numbers are one part of all.
const PART: u64 = 1024;

/// Of so many parts it is known that they were read. What the database's cache has forgotten of them is then read record
/// by record, as without this.
const REMEMBERED: usize = 32;

/// Records that are read of a part, at most: a directory may have millions.
const MOST: usize = 4096;

/// Parts that one page of a listing leads to, at most.
const AT_ONCE: usize = 8;

/// What was read ahead of those who look at files.
#[derive(Default)]
pub(crate) struct Warm(Mutex<VecDeque<(u64, Kind)>>);

/// Of what.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Attributes,
    Entries,
}

impl Warm {
    /// Whether a part is to be read: it counts as read from now on.
    fn is_new(&self, part: u64, kind: Kind) -> bool {
        let mut parts = self.0.lock();
        if parts.contains(&(part, kind)) {
            return false;
        }
        if parts.len() == REMEMBERED {
            parts.pop_front();
        }
        parts.push_back((part, kind));
        true
    }
}

impl Volume {
    /// Has the attributes of listed files read, and the entries of directories among them. Nobody needs to wait for it.
    pub(crate) fn warm<'a>(self: &Arc<Self>, listed: impl Iterator<Item = &'a Entry>) -> Vec<JoinHandle<()>> {
        let mut wanted = Vec::new();
        for entry in listed {
            let part = entry.ino / PART;
            let is_dir = entry.kind & S_IFMT == S_IFDIR;
            for kind in [Some(Kind::Attributes), is_dir.then_some(Kind::Entries)].into_iter().flatten() {
                if !wanted.contains(&(part, kind)) && wanted.len() < AT_ONCE {
                    wanted.push((part, kind));
                }
            }
        }
        let new = wanted.into_iter().filter(|(part, kind)| self.warmed.is_new(*part, *kind));
        let read = new.map(|(part, kind)| {
            let (volume, range) = (self.clone(), records(part, kind));
            self.runtime.spawn(async move {
                // Who needs it hears of errors.
                let _ = volume.meta.scan(range, MOST).await;
            })
        });
        read.collect()
    }
}

fn records(part: u64, kind: Kind) -> Range<Vec<u8>> {
    let numbers = part * PART..(part + 1) * PART;
    match kind {
        Kind::Attributes => key::inodes(&numbers),
        Kind::Entries => key::buckets_of(&numbers),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_read_once_as_long_as_it_is_remembered() {
        let warm = Warm::default();
        assert!(warm.is_new(0, Kind::Attributes) && warm.is_new(0, Kind::Entries));
        assert!(!warm.is_new(0, Kind::Attributes));
        (1..=REMEMBERED as u64).for_each(|part| assert!(warm.is_new(part, Kind::Attributes)));
        assert!(warm.is_new(0, Kind::Attributes));
    }
}
