//! Extended attributes.

use crate::errno::Errno;
use crate::wire::FdId;
use crate::wire::message::{
    FGetXattrReq, FGetXattrResp, FListXattrReq, FListXattrResp, FRemoveXattrReq, FRemoveXattrResp, FSetXattrReq,
    FSetXattrResp,
};

use super::{Client, check_length};
use crate::client::error::CallError;

/// Longest name of an extended attribute.
const LONGEST_NAME: usize = 255;

impl Client {
    /// The value of an extended attribute, of up to `size` bytes; of any size if `size` is 0.
    pub fn get_xattr(&self, fd: FdId, name: &[u8], size: u32) -> Result<Vec<u8>, Errno> {
        check_length(name)?;
        self.connection.ask(&FGetXattrReq { fd, buf_size: size, name }, |answer| {
            let value = answer.decode::<FGetXattrResp<'_>>()?.value;
            if size != 0 && value.len() > size as usize {
                return Err(CallError::Malformed("a longer value than asked for"));
            }
            Ok(value.to_vec())
        })
    }

    /// Sets an extended attribute. More than 65,535 bytes do not fit into a message: `E2BIG`.
    pub fn set_xattr(&self, fd: FdId, name: &[u8], value: &[u8], flags: u32) -> Result<(), Errno> {
        check_length(name)?;
        self.ask::<FSetXattrResp>(&FSetXattrReq { fd, flags, name, value }).map(drop)
    }

    /// Names of all extended attributes, of up to `size` bytes with a NUL behind each; of any size if `size` is 0.
    pub fn list_xattr(&self, fd: FdId, size: u64) -> Result<Vec<Vec<u8>>, Errno> {
        self.connection.ask(&FListXattrReq { fd, size }, |answer| {
            let names = answer.decode::<FListXattrResp<'_>>()?.names;
            if names.iter().any(|name| name.is_empty() || name.len() > LONGEST_NAME || name.contains(&0)) {
                return Err(CallError::Malformed("an extended attribute with an invalid name"));
            }
            if size != 0 && names.iter().map(|name| name.len() as u64 + 1).sum::<u64>() > size {
                return Err(CallError::Malformed("a longer list of names than asked for"));
            }
            Ok(names.iter().map(<[u8]>::to_vec).collect())
        })
    }

    /// Removes an extended attribute.
    pub fn remove_xattr(&self, fd: FdId, name: &[u8]) -> Result<(), Errno> {
        check_length(name)?;
        self.ask::<FRemoveXattrResp>(&FRemoveXattrReq { fd, name }).map(drop)
    }
}
