//! Opening files, and what is done with an open one besides moving data.

use std::os::fd::OwnedFd;

use crate::errno::Errno;
use crate::wire::message::{
    FAllocateReq, FAllocateResp, FSyncReq, FSyncResp, FlushReq, FlushResp, LSeekReq, LSeekResp, OpenAtReq, OpenAtResp,
    OpenCreateAtReq, OpenCreateAtResp,
};
use crate::wire::{CreateCommon, FdArray, FdId, Inode, MessageId, Pad};

use super::{Client, check_fd, check_inode, check_length};

impl Client {
    /// Opens the file of a control FD: access mode and `O_TRUNC` count, and `O_NOATIME` with some servers. The server
    /// may give a host descriptor away.
    pub fn open_at(&self, fd: FdId, flags: u32) -> Result<(FdId, Option<OwnedFd>), Errno> {
        self.connection.ask(&OpenAtReq { fd, flags, pad: Pad }, |answer| {
            let (opened, mut fds) = answer.decode_with_fds::<OpenAtResp>()?;
            check_fd(opened.open_fd)?;
            Ok((opened.open_fd, fds.pop_at(0)))
        })
    }

    /// Makes a regular file that must not exist, and opens it. The server may give a host descriptor away.
    pub fn open_create_at(
        &self,
        common: CreateCommon,
        flags: u32,
        name: &[u8],
    ) -> Result<(Inode, FdId, Option<OwnedFd>), Errno> {
        check_length(name)?;
        let (created, mut fds) = self
            .connection
            .ask(&OpenCreateAtReq { common, flags, name }, |answer| answer.decode_with_fds::<OpenCreateAtResp>())?;
        if let Err(error) = check_inode(&created.child).and_then(|()| check_fd(created.open_fd)) {
            self.close_all(&[created.child.control_fd, created.open_fd]);
            return Err(error.into_errno(MessageId::OPEN_CREATE_AT));
        }
        Ok((created.child, created.open_fd, fds.pop_at(0)))
    }

    /// Makes the data of open FDs durable. All are tried; the first error is returned.
    pub fn fsync(&self, fds: &[FdId]) -> Result<(), Errno> {
        let fds = FdArray::new(fds).map_err(|_| Errno::INVAL)?;
        self.ask::<FSyncResp>(&FSyncReq { fds }).map(drop)
    }

    /// Reserves or frees space of an open FD.
    pub fn fallocate(&self, fd: FdId, mode: u64, offset: u64, length: u64) -> Result<(), Errno> {
        self.ask::<FAllocateResp>(&FAllocateReq { fd, mode, offset, length }).map(drop)
    }

    /// Where the first data or, if `hole`, the first hole of an open FD is, at or behind `offset`. Few servers know.
    pub fn seek(&self, fd: FdId, offset: u64, hole: bool) -> Result<u64, Errno> {
        let whence = if hole { libc::SEEK_HOLE } else { libc::SEEK_DATA }.cast_unsigned();
        self.ask::<LSeekResp>(&LSeekReq { fd, offset, whence, pad: Pad }).map(|found| found.offset)
    }

    /// Tells the server that a writable open FD was closed by an application.
    pub fn flush(&self, fd: FdId) -> Result<(), Errno> {
        self.ask::<FlushResp>(&FlushReq { fd }).map(drop)
    }
}
