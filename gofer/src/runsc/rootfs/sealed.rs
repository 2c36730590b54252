//! Which mounts are read-only because we have made them so.

use std::collections::HashSet;
use std::os::fd::AsFd;

use rustix::fs::{AtFlags, StatVfsMountFlags, StatxFlags, fstatvfs, statx};
use rustix::io::Errno;

/// Mounts by their IDs. Mount points can still be made in them, which nobody else could; in what the host shows to us
/// read-only nothing may be made.
#[derive(Debug, Default)]
pub(super) struct Sealed(HashSet<u64>);

impl Sealed {
    /// Remembers that the mount of `file` is about to become read-only. Whether those below it could be changed, nobody
    /// asks: nothing is made in them.
    pub(super) fn note(&mut self, file: impl AsFd) -> Result<(), Errno> {
        if !fstatvfs(&file)?.f_flag.contains(StatVfsMountFlags::RDONLY) {
            self.0.insert(mount(file)?);
        }
        Ok(())
    }

    /// Whether `file` is in one of these mounts.
    pub(super) fn has(&self, file: impl AsFd) -> bool {
        mount(file).is_ok_and(|mount| self.0.contains(&mount))
    }
}

/// The ID of the mount that `file` is in.
fn mount(file: impl AsFd) -> Result<u64, Errno> {
    Ok(statx(file, c"", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID)?.stx_mnt_id)
}
