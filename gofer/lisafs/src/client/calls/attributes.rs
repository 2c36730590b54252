//! Attributes of files and of the file system.

use crate::errno::Errno;
use crate::wire::message::{FStatFsReq, FStatFsResp, FStatReq, SetStatReq, SetStatResp};
use crate::wire::{FdId, StatFs, Statx};

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

    /// Sets the attributes that the request's mask names. Some may fail while others are set: the answer says which,
    /// and if there are any, with a valid errno.
    pub fn set_stat(&self, request: &SetStatReq) -> Result<SetStatResp, Errno> {
        let mut result: SetStatResp = self.ask(request)?;
        if !result.failure_mask.is_empty() {
            result.failure_errno = errno_from_wire(result.failure_errno).raw_os_error().unsigned_abs();
        }
        Ok(result)
    }

    /// Statistics of the file system that a control FD is on.
    pub fn fstatfs(&self, fd: FdId) -> Result<StatFs, Errno> {
        self.ask::<FStatFsResp>(&FStatFsReq { fd }).map(|answer| answer.stat)
    }
}
