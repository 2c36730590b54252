//! Attributes of files and of the file system.

use crate::backend::{SetStat, SetStatFailure};
use crate::errno::Errno;
use crate::wire::message::{FStatFsReq, FStatFsResp, FStatReq, SetStatReq, SetStatResp};
use crate::wire::{FdId, NO_ID, StatFs, Statx};

use super::{Client, check_stat};
use crate::client::error::errno_from_wire;

impl Client {
    /// Attributes of a control or open FD.
    pub fn fstat(&self, fd: FdId) -> Result<Statx, Errno> {
        self.connection.ask(&FStatReq { fd }, |answer| {
            let stat = answer.decode::<Statx>()?;
            check_stat(&stat)?;
            Ok(stat)
        })
    }

    /// Sets attributes of a control FD. Some may fail while others are set: the inner result says which.
    pub fn set_stat(&self, fd: FdId, change: &SetStat) -> Result<Result<(), SetStatFailure>, Errno> {
        let answer: SetStatResp = self.ask(&SetStatReq {
            fd,
            mask: change.mask(),
            mode: change.mode.map_or(0, |mode| mode.bits().into()),
            uid: change.uid.unwrap_or(NO_ID),
            gid: change.gid.unwrap_or(NO_ID),
            size: change.size.unwrap_or(0),
            atime: change.atime.unwrap_or_default(),
            mtime: change.mtime.unwrap_or_default(),
        })?;
        Ok(match answer.failure_mask {
            none if none.is_empty() => Ok(()),
            failed => Err(SetStatFailure::new(failed, errno_from_wire(answer.failure_errno))),
        })
    }

    /// Whether the server refuses all changes. It says so before it looks at what is to be changed, so it is asked to
    /// change nothing of no file, which no backend hears of.
    pub fn refuses_changes(&self) -> bool {
        self.set_stat(FdId::INVALID, &SetStat::default()).is_err_and(|error| error == Errno::ROFS)
    }

    /// Statistics of the file system that a control FD is on.
    pub fn fstatfs(&self, fd: FdId) -> Result<StatFs, Errno> {
        self.ask::<FStatFsResp>(&FStatFsReq { fd }).map(|answer| answer.stat)
    }
}
