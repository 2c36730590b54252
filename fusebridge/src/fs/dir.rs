//! Listing directories.
//!
//! The protocol can only rewind a listing, the kernel wants to go on from any offset it has seen. So what was read stays with
//! the open directory, and an offset is a position in it.
//!
//! If the kernel may keep listings, it shows to one open directory what another one has read, and may forget that in the middle: then
//! the one goes on with the offsets of the other. So the last listings outlive the open directories that they were read for.

use std::collections::VecDeque;
use std::sync::Arc;

use gofer::wire::Dirent;
use parking_lot::Mutex;

use super::bridge::{Bridge, Result};
use super::handles::Handle;
use super::identity::{Identity, NodeId};

/// Bytes of kernel directory entries that one request asks for: as many as a sandbox does.
const CHUNK: i32 = 65536;

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

/// The last listings that the kernel may have kept, the latest last.
#[derive(Default)]
pub(super) struct Recent(Mutex<VecDeque<(NodeId, Arc<Mutex<Listing>>)>>);

impl Recent {
    /// How many are kept: enough for directories that are being listed while the kernel forgets.
    const MOST: usize = 16;
    /// How many entries a listing may have to be kept.
    const MOST_ENTRIES: usize = 1 << 15;

    /// Keeps `listing`, as the only one of `id`.
    fn put(&self, id: NodeId, listing: &Arc<Mutex<Listing>>) {
        let mut kept = self.0.lock();
        kept.retain(|(other, _)| *other != id);
        if kept.len() == Self::MOST {
            kept.pop_front();
        }
        kept.push_back((id, listing.clone()));
    }

    /// The listing of `id`, if it was read to its end.
    fn get(&self, id: NodeId) -> Option<Arc<Mutex<Listing>>> {
        let found = self.0.lock().iter().find(|(other, _)| *other == id).map(|(_, listing)| listing.clone());
        // One that is not complete cannot be what the kernel has kept, and goes on from its own open directory only.
        found.filter(|listing| listing.lock().complete)
    }

    /// Gives up the listing of `id`.
    fn remove(&self, id: NodeId) {
        self.0.lock().retain(|(other, _)| *other != id);
    }
}

/// `DT_DIR`.
const DIRECTORY: u8 = 4;

impl Bridge {
    /// Calls `each` with the entries from `offset` on, each with the offset behind it, until it answers `false` or the directory
    /// ends. Offset 0 reads the directory anew.
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
        let mut position = usize::try_from(offset).unwrap_or(usize::MAX);
        loop {
            while position >= listing.entries.len() && !listing.complete {
                self.read_more(handle, &mut listing)?;
            }
            let Some(entry) = listing.entries.get(position) else { return Ok(()) };
            position += 1;
            if !each(entry, position as u64)? {
                if position > Recent::MOST_ENTRIES {
                    self.recent.remove(id);
                }
                return Ok(());
            }
        }
    }

    /// What was read of the directory: nothing yet at offset 0, and elsewhere by whom the kernel has the offset from.
    fn listing(&self, id: NodeId, handle: &Handle, offset: u64) -> Arc<Mutex<Listing>> {
        let mut own = handle.listing().lock();
        if offset == 0 {
            let new = Arc::new(Mutex::new(Listing::default()));
            if self.policy.keeps_cache() {
                self.recent.put(id, &new);
            }
            return own.insert(new).clone();
        }
        own.get_or_insert_with(|| self.recent.get(id).unwrap_or_default()).clone()
    }

    fn read_more(&self, handle: &Handle, listing: &mut Listing) -> Result<()> {
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
