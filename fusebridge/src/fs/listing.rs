//! What was read of directories, by open directory and after it was closed.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;

use super::identity::NodeId;

/// One entry of a directory.
#[derive(Clone, Debug)]
pub struct DirEntry {
    /// The name.
    pub name: Box<[u8]>,
    /// The number that `stat` would show.
    pub id: NodeId,
    /// The type, one of `DT_*`.
    pub kind: u8,
}

/// What was read of an open directory.
#[derive(Default)]
pub(super) struct Listing {
    pub(super) entries: Vec<DirEntry>,
    pub(super) complete: bool,
    pub(super) started: bool,
}

/// A listing that several open directories may go on with.
pub(super) type Shared = Arc<Mutex<Listing>>;

/// The listings that were read to their end last.
#[derive(Default)]
pub(super) struct Recent(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    /// By directory, with the number of entries.
    listings: HashMap<NodeId, (Shared, usize)>,
    /// Directories, that whose listing is to go first in front. One that was read again is there more than once.
    order: VecDeque<NodeId>,
    /// The entries of all.
    entries: usize,
}

impl Recent {
    /// How many entries all of them have at most.
    const MOST_ENTRIES: usize = 1 << 18;
    /// How many there are at most.
    const MOST: usize = 1 << 12;

    /// Keeps `listing`, as the only one of `id`, if it is not too long.
    pub(super) fn put(&self, id: NodeId, listing: &Shared, entries: usize) {
        let mut kept = self.0.lock();
        kept.remove(id);
        if entries > Self::MOST_ENTRIES / 2 {
            return;
        }
        kept.entries += entries;
        kept.listings.insert(id, (listing.clone(), entries));
        kept.order.push_back(id);
        while kept.entries > Self::MOST_ENTRIES || kept.order.len() > Self::MOST {
            let Some(first) = kept.order.pop_front() else { return };
            kept.remove(first);
        }
    }

    /// The listing of `id`.
    pub(super) fn get(&self, id: NodeId) -> Option<Shared> {
        self.0.lock().listings.get(&id).map(|(listing, _)| listing.clone())
    }
}

impl Kept {
    fn remove(&mut self, id: NodeId) {
        if let Some((_, entries)) = self.listings.remove(&id) {
            self.entries -= entries;
        }
    }
}
