//! New names: directories, special files, links.

use crate::errno::Errno;
use crate::wire::message::{
    LinkAtReq, LinkAtResp, MkdirAtReq, MkdirAtResp, MknodAtReq, MknodAtResp, SymlinkAtReq, SymlinkAtResp,
};
use crate::wire::{CreateCommon, FdId, Inode, MessageId};

use super::{Client, check_inode, check_length};

impl Client {
    /// Makes a directory.
    pub fn mkdir_at(&self, common: CreateCommon, name: &[u8]) -> Result<Inode, Errno> {
        check_length(name)?;
        let made: MkdirAtResp = self.ask(&MkdirAtReq { common, name })?;
        self.created(made.child, MessageId::MKDIR_AT)
    }

    /// Makes a file of the type in the mode of `common`.
    pub fn mknod_at(&self, common: CreateCommon, minor: u32, major: u32, name: &[u8]) -> Result<Inode, Errno> {
        check_length(name)?;
        let made: MknodAtResp = self.ask(&MknodAtReq { common, minor, major, name })?;
        self.created(made.child, MessageId::MKNOD_AT)
    }

    /// Makes a symbolic link to `target`.
    pub fn symlink_at(&self, dir: FdId, uid: u32, gid: u32, name: &[u8], target: &[u8]) -> Result<Inode, Errno> {
        check_length(name)?;
        check_length(target)?;
        let made: SymlinkAtResp = self.ask(&SymlinkAtReq { dir, uid, gid, name, target })?;
        self.created(made.symlink, MessageId::SYMLINK_AT)
    }

    /// Makes another name for the file of the control FD `target`.
    pub fn link_at(&self, dir: FdId, target: FdId, name: &[u8]) -> Result<Inode, Errno> {
        check_length(name)?;
        let made: LinkAtResp = self.ask(&LinkAtReq { dir, target, name })?;
        self.created(made.link, MessageId::LINK_AT)
    }

    /// A new file, unless it cannot be used: then its FD is given back.
    fn created(&self, inode: Inode, message: MessageId) -> Result<Inode, Errno> {
        check_inode(&inode).map_err(|error| {
            self.close(inode.control_fd);
            error.into_errno(message)
        })?;
        Ok(inode)
    }
}
