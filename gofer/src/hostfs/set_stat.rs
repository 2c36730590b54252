//! Changes of attributes.

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Timestamps, chmodat, ftruncate, utimensat};
use rustix::io::{Errno, Result};

use super::attributes::{PERMISSIONS, SET_IDS, set_owner};
use super::control::HostControl;
use super::proc_fds::ProcFds;
use lisafs::backend::{SetStat, SetStatFailure, StatxMask};
use lisafs::wire::Timespec;

impl HostControl {
    /// Sets the permission bits.
    pub(super) fn set_mode(&self, mode: u32) -> Result<()> {
        if self.kind == FileType::Symlink {
            // Old kernels change it on some file systems; none of them uses it.
            return Err(Errno::OPNOTSUPP);
        }
        let mode = Mode::from_raw_mode(mode & PERMISSIONS);
        chmodat(self.proc_dir(), ProcFds::name(self.fd()).as_c_str(), mode, AtFlags::empty())
    }

    /// Sets the size. The file is open for writing no longer than that takes: it could not be executed meanwhile.
    fn set_size(&self, size: u64) -> Result<()> {
        match self.kind {
            FileType::RegularFile => ftruncate(self.shared.proc_fds.reopen(self.fd(), OFlags::WRONLY)?, size),
            FileType::Directory => Err(Errno::ISDIR),
            FileType::Symlink => Err(Errno::LOOP),
            _ => Err(Errno::INVAL),
        }
    }

    fn set_times(&self, atime: Option<Timespec>, mtime: Option<Timespec>) -> Result<()> {
        let time = |time: Option<Timespec>| match time {
            Some(Timespec { sec, nsec }) => rustix::fs::Timespec { tv_sec: sec, tv_nsec: nsec },
            None => rustix::fs::Timespec { tv_sec: 0, tv_nsec: Timespec::UTIME_OMIT },
        };
        let times = Timestamps { last_access: time(atime), last_modification: time(mtime) };
        utimensat(self.proc_dir(), ProcFds::name(self.fd()).as_c_str(), &times, AtFlags::empty())
    }

    /// Size, owner, mode, times, in this order: a change of size or owner clears set-id bits, a change of size sets
    /// times.
    pub(super) fn apply(&self, change: &SetStat) -> std::result::Result<(), SetStatFailure> {
        let mut failure = None;
        let mut note = |mask: StatxMask, result: Result<()>| {
            if let Err(errno) = result {
                let first = failure.get_or_insert_with(|| SetStatFailure::new(StatxMask::empty(), errno));
                first.mask |= mask;
            }
        };
        if let Some(size) = change.size {
            note(StatxMask::SIZE, self.set_size(size));
        }
        let mut owner = Ok(());
        if change.uid.is_some() || change.gid.is_some() {
            owner = set_owner(self.fd(), change.uid, change.gid);
            note(bit(change.uid, StatxMask::UID) | bit(change.gid, StatxMask::GID), owner);
        }
        if let Some(mode) = change.mode {
            // Set-id bits are meant for the new owner. On a file that stays the old one's they would lend that one's
            // rights.
            let mode = u32::from(mode.bits());
            let owner = if mode & SET_IDS == 0 { Ok(()) } else { owner };
            note(StatxMask::MODE, owner.and_then(|()| self.set_mode(mode)));
        }
        if change.atime.is_some() || change.mtime.is_some() {
            let mask = bit(change.atime, StatxMask::ATIME) | bit(change.mtime, StatxMask::MTIME);
            note(mask, self.set_times(change.atime, change.mtime));
        }
        failure.map_or(Ok(()), Err)
    }
}

/// `bit`, if the attribute is to be set.
fn bit<T: Copy>(attribute: Option<T>, bit: StatxMask) -> StatxMask {
    if attribute.is_some() { bit } else { StatxMask::empty() }
}
