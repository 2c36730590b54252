//! Names that go or move.

use crate::backend::Unlink;
use crate::errno::Errno;
use crate::wire::FdId;
use crate::wire::message::{RenameAt2Req, RenameAt2Resp, RenameAtReq, RenameAtResp, UnlinkAtReq, UnlinkAtResp};

use super::{Client, check_length};

impl Client {
    /// Removes a name from a directory.
    pub fn unlink_at(&self, dir: FdId, name: &[u8], what: Unlink) -> Result<(), Errno> {
        check_length(name)?;
        let flags = match what {
            Unlink::Directory => libc::AT_REMOVEDIR.unsigned_abs(),
            Unlink::File => 0,
        };
        self.ask::<UnlinkAtResp>(&UnlinkAtReq { dir, flags, name }).map(drop)
    }

    /// Renames. With flags (`RENAME_NOREPLACE`, `RENAME_EXCHANGE`) this is another message, which a server may not
    /// support.
    pub fn rename_at(
        &self,
        old_dir: FdId,
        old_name: &[u8],
        new_dir: FdId,
        new_name: &[u8],
        flags: u32,
    ) -> Result<(), Errno> {
        check_length(old_name)?;
        check_length(new_name)?;
        if flags == 0 {
            self.ask::<RenameAtResp>(&RenameAtReq { old_dir, new_dir, old_name, new_name }).map(drop)
        } else {
            self.ask::<RenameAt2Resp>(&RenameAt2Req { old_dir, new_dir, old_name, new_name, flags }).map(drop)
        }
    }
}
