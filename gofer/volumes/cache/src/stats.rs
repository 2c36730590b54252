//! Counts of what a cache does.

use std::sync::atomic::{AtomicU64, Ordering};

/// A count.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

macro_rules! counts {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// The counts of a cache, as they go up.
        #[derive(Debug, Default)]
        pub(crate) struct Stats {
            $(pub(crate) $name: Count,)*
        }

        /// The counts of a cache at one moment, since it was opened.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Snapshot {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Stats {
            pub(crate) fn snapshot(&self) -> Snapshot {
                Snapshot { $($name: self.$name.get(),)* }
            }
        }
    };
}

counts! {
    /// Reads that the disk has answered.
    hits,
    /// Reads that the backend was asked for.
    misses,
    /// Reads that went past the cache.
    bypassed,
    /// Bytes read from the disk.
    hit_bytes,
    /// Bytes fetched from the backend.
    fetched_bytes,
    /// Of these, bytes that nobody had asked for yet.
    ahead_bytes,
    /// Names, attributes, links, extended attributes and listings that memory has answered.
    metadata_hits,
    /// The same that the backend was asked for.
    metadata_misses,
    /// Times that changes of a file were uploaded.
    uploads,
    /// Bytes of journals that were uploaded.
    uploaded_bytes,
    /// Uploads that have failed.
    upload_failures,
    /// Files that were opened with a descriptor of their data.
    donated,
    /// Blocks that had to go.
    evictions,
    /// Bytes that had to go.
    evicted_bytes,
    /// Times that there was no room for a block.
    refused,
    /// Chunks that were not as they were written.
    damaged,
    /// Times that the disk has failed.
    failures,
}
