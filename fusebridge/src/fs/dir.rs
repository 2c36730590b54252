//! Listing directories.
//!
//! The protocol can only rewind a listing, the kernel wants to go on from any offset it has seen. So what was read
//! stays with the open directory, and an offset is a position in it.
//!
//! If the kernel may keep listings, it shows to one open directory what another one has read, and may forget that in
//! the middle: then the one goes on with the offsets of the other. So listings outlive the open directories that they
//! were read for, and one that does not is not to be kept by the kernel either.

use lisafs::Errno;
use lisafs::client::Listing as Whole;
use lisafs::wire::Dirent;

use super::bridge::{Bridge, Result};
use super::handles::Handle;
use super::identity::{Identity, NodeId};
use super::listing::{DirEntry, Listing, Shared};

/// Bytes of kernel directory entries that one request asks for: as many as a sandbox does.
const CHUNK: i32 = 65536;

/// `DT_DIR`.
const DIRECTORY: u8 = 4;

impl Bridge {
    /// Calls `each` with the entries from `offset` on, with those of them that are read already and the offset behind
    /// the first one, until it returns `false` or the directory ends. Offset 0 reads the directory anew. An error
    /// behind the first of these entries shows when the listing goes on.
    pub fn list(
        &self,
        id: NodeId,
        handle: &Handle,
        offset: u64,
        mut each: impl FnMut(&[DirEntry], u64) -> Result<bool>,
    ) -> Result<()> {
        let own = self.listing(id, handle, offset);
        if offset == 0 && self.goes_ahead() {
            self.walks.listed(id, &own);
        }
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
            let Some(entries @ [_, ..]) = listing.entries.get(position..) else { return Ok(()) };
            position += 1;
            if !each(entries, position as u64)? {
                return Ok(());
            }
        }
    }

    /// Has `handle`, just opened, go on with what another one has read of the directory. Returns whether there is such
    /// a listing; if not, the kernel must not keep one.
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
        if listing.entries.len() > Whole::MOST {
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
