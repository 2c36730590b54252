//! Listing directories.
//!
//! The protocol can only rewind a listing, the kernel wants to go on from any offset it has seen. So what was read stays with
//! the open directory, and an offset is a position in it.

use gofer::wire::Dirent;

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
        let mut listing = handle.listing().lock();
        if offset == 0 {
            *listing = Listing::default();
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
                return Ok(());
            }
        }
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
