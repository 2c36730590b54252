//! Listing directories.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::node::Node;
use crate::record::{Bucket, Entry, decode};
use crate::volume::Volume;
use crate::{Errno, key};

/// Records that are looked at, at once.
const PAGE: usize = 512;

/// What was read of a listing and had no room in the last answer, for whoever goes on from there.
#[derive(Default)]
pub(crate) struct Rest {
    /// Where it begins.
    from: u64,
    /// Entries with the positions behind them.
    entries: VecDeque<(Entry, u64)>,
    /// Where in the database to go on behind them, if there may be more.
    next: Option<Vec<u8>>,
}

impl Volume {
    /// Calls `add` with the entries of a directory from a position on, each with the position behind it, until it
    /// answers `false`. What is left then stays in `rest`.
    ///
    /// A position is made of the name's hash and stays the same as long as the name exists: a listing that goes on from
    /// one misses nothing and repeats nothing, whatever happened meanwhile.
    pub(crate) fn list(
        self: &Arc<Self>,
        dir: &Node,
        from: u64,
        rest: &mut Rest,
        mut add: impl FnMut(&Entry, u64) -> bool,
    ) -> Result<(), Errno> {
        let mut left = std::mem::take(rest);
        if from == 0 || left.from != from {
            let (hash, _) = key::of_position(from);
            left = Rest { from, entries: VecDeque::new(), next: Some(key::buckets_from(dir.ino, hash).start) };
        }
        loop {
            while let Some((entry, next)) = left.entries.front() {
                if !add(entry, *next) {
                    *rest = left;
                    return Ok(());
                }
                left.from = *next;
                left.entries.pop_front();
            }
            match left.next.take() {
                Some(start) => left = Rest { from: left.from, ..self.page(dir, start, from)? },
                None => {
                    // Who asks next is told without another look that this was the end.
                    if left.from != from {
                        *rest = left;
                    }
                    return Ok(());
                }
            }
        }
    }

    /// Entries of a directory that are not before `from`, of some records from the key `start` on.
    fn page(self: &Arc<Self>, dir: &Node, start: Vec<u8>, from: u64) -> Result<Rest, Errno> {
        let range = start..key::buckets_from(dir.ino, 0).end;
        let page = self.scan(&range, PAGE)?;
        let mut entries = VecDeque::with_capacity(page.records.len());
        for (key, value) in page.records {
            let Some((_, at)) = key::bucket_of(&key) else { return Err(Errno::IO) };
            let found = decode::<Bucket>("entries", &value)?.0.into_iter();
            let placed = found.map(|entry| (key::position(at, entry.slot), entry));
            entries.extend(placed.filter(|(at, _)| *at >= from).map(|(at, entry)| (entry, at + 1)));
        }
        drop(self.warm(entries.iter().map(|(entry, _)| entry)));
        Ok(Rest { from, entries, next: page.next })
    }
}
