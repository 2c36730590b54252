//! What is in a directory.

use lisafs::backend::{DirEntry, DirSink, FileType, OpenFile, Result};

/// Longer listings are not kept.
const KEPT: usize = 100_000;
/// A listing that goes on for ever is an error some time.
const MOST: usize = 1 << 26;

/// An entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: Box<[u8]>,
    ino: u64,
    dev: (u32, u32),
    kind: Option<FileType>,
}

/// The entries of a directory at some moment.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub(super) entries: Vec<Entry>,
}

impl Listing {
    /// All that the open directory `dir` has.
    pub(super) fn read(dir: &dyn OpenFile) -> Result<Self> {
        let mut all = All { listing: Listing::default(), next: 0, count: 0 };
        let mut from = 0;
        loop {
            all.count = 0;
            dir.read_dir(from, &mut all)?;
            if all.count == 0 || all.listing.entries.len() > MOST {
                return Ok(all.listing);
            }
            from = all.next;
        }
    }

    /// Whether it is short enough.
    pub(super) fn is_kept(&self) -> bool {
        self.entries.len() <= KEPT
    }
}

impl Entry {
    /// The same at the position before `next`.
    pub(super) fn before(&self, next: u64) -> DirEntry<'_> {
        DirEntry::new(&self.name, self.ino, self.kind, next).on_device(self.dev.0, self.dev.1)
    }
}

/// Takes every entry.
struct All {
    listing: Listing,
    next: u64,
    count: usize,
}

impl DirSink for All {
    fn add(&mut self, entry: &DirEntry<'_>) -> bool {
        self.next = entry.next;
        self.count += 1;
        // The server leaves these out, too.
        if !matches!(entry.name, b"." | b"..") {
            let DirEntry { name, ino, dev, file_type, .. } = *entry;
            self.listing.entries.push(Entry { name: name.into(), ino, dev, kind: file_type });
        }
        true
    }
}
