//! Looking for data and holes.
//!
//! A page that was only changed through a memory mapping is still the kernel's, and may lie in what the server knows as
//! a hole. A copy that trusts that hole loses what is in the page, so where the kernel may have such pages they count
//! as data.

use lisafs::Errno;
use lisafs::wire::MessageId;
use rustix::fs::SeekFrom;

use super::bridge::{Bridge, Result};
use super::handles::Handle;
use super::identity::NodeId;

impl Bridge {
    /// Looks for data or a hole. Where nobody knows, all of the file counts as data, which is always a right answer.
    pub fn seek(&self, id: NodeId, handle: &Handle, offset: u64, hole: bool) -> Result<u64> {
        if handle.is_backed || !self.nodes.lock().is_mappable(id) {
            return self.seek_stored(id, handle, offset, hole);
        }
        let size = self.getattr(id)?.size;
        let Some(cached) = handle.mapped().and_then(|mapped| mapped.cached(offset, size)) else {
            return self.seek_in_data(id, offset, hole);
        };
        if !hole {
            let page = cached.first().map(|part| part.start);
            return match (self.seek_stored(id, handle, offset, false), page) {
                (Err(Errno::NXIO), Some(page)) => Ok(page),
                (Ok(found), Some(page)) => Ok(found.min(page)),
                (result, None) => result,
                (Err(errno), _) => Err(errno),
            };
        }
        let mut from = offset;
        loop {
            let found = self.seek_stored(id, handle, from, true)?;
            match cached.iter().find(|part| part.contains(&found)) {
                Some(part) if part.end < size => from = part.end,
                Some(_) => return Ok(size),
                None => return Ok(found),
            }
        }
    }

    /// The same in what the server has.
    fn seek_stored(&self, id: NodeId, handle: &Handle, offset: u64, hole: bool) -> Result<u64> {
        if let Some(file) = handle.donated() {
            return Ok(rustix::fs::seek(file, if hole { SeekFrom::Hole(offset) } else { SeekFrom::Data(offset) })?);
        }
        if self.supports(MessageId::LSEEK) {
            match self.client.seek(handle.fd(), offset, hole) {
                Err(Errno::OPNOTSUPP) => {}
                result => return result,
            }
        }
        self.seek_in_data(id, offset, hole)
    }

    /// The same in a file without holes.
    fn seek_in_data(&self, id: NodeId, offset: u64, hole: bool) -> Result<u64> {
        let size = self.getattr(id)?.size;
        if offset >= size {
            return Err(Errno::NXIO);
        }
        Ok(if hole { size } else { offset })
    }
}
