//! Open directories.

use std::collections::HashMap;
use std::sync::Arc;

use lisafs::backend::{DirSink, OpenFile, OpenHow, Result, Statx};
use parking_lot::Mutex;

use super::Volume;
use super::listing::Listing;
use super::node::Node;
use super::reader::Reader;

/// An open directory.
pub(super) struct CacheDir {
    volume: Arc<Volume>,
    node: Arc<Node>,
    reader: Reader,
    listed: Mutex<Listed>,
}

/// What was listed through one open directory.
#[derive(Default)]
struct Listed {
    listing: Arc<Listing>,
    /// Where each entry is, in ascending order; in the first listing that is its number. A name that stays keeps its
    /// place when the directory is listed again.
    places: Option<Vec<(u64, usize)>>,
    end: u64,
}

impl CacheDir {
    /// A directory that the backend has still to open.
    pub(super) fn new(volume: Arc<Volume>, node: Arc<Node>, how: OpenHow) -> Self {
        let reader = Reader::new(volume.clone(), node.clone(), how);
        CacheDir { volume, node, reader, listed: Mutex::default() }
    }

    /// Begins anew with what is there now.
    fn rewind(&self, listed: &mut Listed) -> Result<()> {
        let volume = &self.volume;
        let listing = self.node.inode.listing(volume, || Listing::read(&**self.reader.opened()?))?;
        if !Arc::ptr_eq(&listing, &listed.listing) {
            listed.replace(listing);
        }
        Ok(())
    }
}

impl Listed {
    fn replace(&mut self, listing: Arc<Listing>) {
        if self.end == 0 {
            (self.end, self.listing) = (listing.entries.len() as u64, listing);
            return;
        }
        let old: HashMap<&[u8], u64> =
            self.places().map(|(place, index)| (&*self.listing.entries[index].name, place)).collect();
        let mut end = self.end;
        let mut place = |name: &[u8]| {
            old.get(name).copied().unwrap_or_else(|| {
                end += 1;
                end - 1
            })
        };
        let mut places: Vec<(u64, usize)> =
            listing.entries.iter().enumerate().map(|(index, entry)| (place(&entry.name), index)).collect();
        places.sort_unstable();
        *self = Listed { listing, places: Some(places), end };
    }

    fn places(&self) -> impl Iterator<Item = (u64, usize)> {
        let numbers = if self.places.is_none() { self.listing.entries.len() } else { 0 };
        let numbers = (0..numbers).map(|index| (index as u64, index));
        numbers.chain(self.places.iter().flatten().copied())
    }

    /// Hands the entries from position `from` on to `sink`.
    fn list(&self, from: u64, sink: &mut dyn DirSink) {
        let first = match &self.places {
            None => usize::try_from(from).unwrap_or(usize::MAX),
            Some(places) => places.partition_point(|(place, _)| *place < from),
        };
        for (place, index) in self.places().skip(first) {
            if !sink.add(&self.listing.entries[index].before(place + 1)) {
                break;
            }
        }
    }
}

impl OpenFile for CacheDir {
    fn stat(&self) -> Result<Statx> {
        self.node.inode.stat(&self.volume, || self.node.inner.stat())
    }

    fn sync(&self) -> Result<()> {
        self.reader.opened()?.sync()
    }

    fn read_dir(&self, from: u64, sink: &mut dyn DirSink) -> Result<()> {
        let mut listed = self.listed.lock();
        if from == 0 {
            self.rewind(&mut listed)?;
        }
        listed.list(from, sink);
        Ok(())
    }
}
