//! Listing directories.
//!
//! The protocol can only rewind a listing, the kernel wants to go on from any offset it has seen. So what was read stays with
//! the open directory, and an offset is a position in it.
//!
//! If the kernel may keep listings, it shows to one open directory what another one has read, and may forget that in the middle: then
//! the one goes on with the offsets of the other. So listings outlive the open directories that they were read for, and one that
//! does not is not to be kept by the kernel either.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use lisafs::Errno;
use lisafs::wire::Dirent;
use parking_lot::Mutex;

use super::bridge::{Bridge, Result};
use super::handles::Handle;
use super::identity::{Identity, NodeId};

/// Bytes of kernel directory entries that one request asks for: as many as a sandbox does.
const CHUNK: i32 = 65536;

/// What is longer than this was made up by the server.
const MOST_ENTRIES: usize = 1 << 25;

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
    entries: Vec<DirEntry>,
    complete: bool,
    started: bool,
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
    fn put(&self, id: NodeId, listing: &Shared, entries: usize) {
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
    fn get(&self, id: NodeId) -> Option<Shared> {
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

/// `DT_DIR`.
const DIRECTORY: u8 = 4;

impl Bridge {
    /// Calls `each` with the entries from `offset` on, each with the offset behind it, until it answers `false` or the directory
    /// ends. Offset 0 reads the directory anew. An error behind the first of these entries shows when the listing goes on.
    pub fn list(
        &self,
        id: NodeId,
        handle: &Handle,
        offset: u64,
        mut each: impl FnMut(&DirEntry, u64) -> Result<bool>,
    ) -> Result<()> {
        let own = self.listing(id, handle, offset);
        let mut listing = own.lock();
        if offset == 0 {
            let parent = self.nodes.lock().parent(id);
            listing.entries.push(DirEntry { name: Box::from(&b"."[..]), id, kind: DIRECTORY });
            listing.entries.push(DirEntry { name: Box::from(&b".."[..]), id: parent, kind: DIRECTORY });
        }
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let mut position = start;
        loop {
            while position >= listing.entries.len() && !listing.complete {
                match self.read_more(handle, &mut listing) {
                    Err(_) if position > start => return Ok(()),
                    result => result?,
                }
                if listing.complete && self.policy.keeps_cache() {
                    self.recent.put(id, &own, listing.entries.len());
                }
            }
            let Some(entry) = listing.entries.get(position) else { return Ok(()) };
            position += 1;
            if !each(entry, position as u64)? {
                return Ok(());
            }
        }
    }

    /// Has `handle`, just opened, go on with what another one has read of the directory. Answers whether there is such a listing; if
    /// not, the kernel must not keep one.
    pub fn adopt_listing(&self, id: NodeId, handle: &Handle) -> bool {
        let known = self.recent.get(id);
        let is_known = known.is_some();
        *handle.listing().lock() = known;
        is_known
    }

    /// What was read of the directory, by whom the kernel has the offset from. At offset 0 it is read anew.
    fn listing(&self, id: NodeId, handle: &Handle, offset: u64) -> Shared {
        let mut own = handle.listing().lock();
        if offset == 0 {
            return own.insert(Shared::default()).clone();
        }
        // If it has none, somebody else has read the directory since it was opened.
        own.get_or_insert_with(|| self.recent.get(id).unwrap_or_default()).clone()
    }

    fn read_more(&self, handle: &Handle, listing: &mut Listing) -> Result<()> {
        if listing.entries.len() > MOST_ENTRIES {
            return Err(Errno::FBIG);
        }
        let count = if listing.started { CHUNK } else { -CHUNK };
        let mut add = |dirent: Dirent<'_>| {
            let identity = Identity { dev: (dirent.dev_major, dirent.dev_minor), ino: dirent.ino };
            let id = self.nodes.lock().number_of(identity);
            listing.entries.push(DirEntry { name: Box::from(dirent.name), id, kind: dirent.kind });
        };
        let n = self.client.getdents(handle.fd(), count, &mut add)?;
        listing.started = true;
        listing.complete = n == 0;
        Ok(())
    }
}
