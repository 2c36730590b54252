//! What directories and symbolic links contain.

use crate::errno::Errno;
use crate::wire::message::{Getdents64Req, Getdents64Resp, ReadLinkAtReq, ReadLinkAtResp};
use crate::wire::{Dirent, FdId, MessageId, Pad, Wire};

use super::{Client, is_entry_name};
use crate::client::error::CallError;

/// Longest target of a symbolic link that the kernel takes.
const LONGEST_TARGET: usize = 4095;

impl Client {
    /// The next part of the directory open as `dir`, in entries that take about `count` bytes in the kernel's layout;
    /// from the start again if `count` is negative. Says how many entries there were; none means the end.
    ///
    /// Every name is one that a directory can have, or the call fails. A server can go on for ever: the caller decides
    /// when it is enough. Nothing is held while `each` runs, so it may make other calls.
    pub fn getdents(&self, dir: FdId, count: i32, each: &mut dyn FnMut(Dirent<'_>)) -> Result<usize, Errno> {
        let request = Getdents64Req { dir, count, pad: Pad };
        let listing = self.connection.ask(&request, |answer| Ok(answer.payload.source().to_vec()))?;
        let malformed = |error: CallError| error.into_errno(MessageId::GETDENTS64);
        let dirents = Getdents64Resp::from_bytes(&listing).map_err(|error| malformed(error.into()))?.dirents;
        if !dirents.iter().all(|dirent| is_entry_name(dirent.name)) {
            return Err(malformed(CallError::Malformed("a directory entry with an invalid name")));
        }
        dirents.iter().for_each(each);
        Ok(dirents.len())
    }

    /// Where the symbolic link of a control FD leads.
    pub fn read_link_at(&self, fd: FdId) -> Result<Vec<u8>, Errno> {
        self.connection.ask(&ReadLinkAtReq { fd }, |answer| {
            let target = answer.decode::<ReadLinkAtResp<'_>>()?.target;
            if target.is_empty() || target.len() > LONGEST_TARGET || target.contains(&0) {
                return Err(CallError::Malformed("an invalid target of a symbolic link"));
            }
            Ok(target.to_vec())
        })
    }
}
