//! Listing directories.

use std::sync::Arc;

use crate::node::Node;
use crate::record::{Bucket, Entry, decode};
use crate::volume::Volume;
use crate::{Errno, key};

/// Records that are looked at, at once.
const PAGE: usize = 512;

impl Volume {
    /// Calls `add` with the entries of a directory from a position on, each with the position behind it, until it
    /// answers `false`.
    ///
    /// A position is made of the name's hash and stays the same as long as the name exists: a listing that goes on from
    /// one misses nothing and repeats nothing, whatever happened meanwhile.
    pub(crate) fn list(
        self: &Arc<Self>,
        dir: &Node,
        from: u64,
        mut add: impl FnMut(&Entry, u64) -> bool,
    ) -> Result<(), Errno> {
        let (hash, slot) = key::of_position(from);
        let mut range = key::buckets_from(dir.ino, hash);
        loop {
            let page = self.scan(&range, PAGE)?;
            let mut buckets = Vec::with_capacity(page.records.len());
            for (key, value) in page.records {
                let Some((_, at)) = key::bucket_of(&key) else { return Err(Errno::IO) };
                buckets.push((at, decode::<Bucket>("entries", &value)?));
            }
            drop(self.warm(buckets.iter().flat_map(|(_, bucket)| &bucket.0)));
            for (at, bucket) in buckets {
                let is_first = at == hash;
                for entry in bucket.0.iter().filter(|entry| !is_first || entry.slot >= slot) {
                    if !add(entry, key::position(at, entry.slot) + 1) {
                        return Ok(());
                    }
                }
            }
            match page.next {
                Some(next) => range.start = next,
                None => return Ok(()),
            }
        }
    }
}
