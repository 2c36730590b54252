//! Which files are the same.

use lisafs::backend::{FileType, Statx, StatxMask, StatxTimestamp};

/// Device and inode number, which another file may have after a server was started again.
pub(super) type Key = ((u32, u32), u64);

/// What tells a file from all others, before and after its server was started again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Identity {
    device: (u32, u32),
    inode: u64,
    file_type: Option<FileType>,
    /// When it was made, if the server knows: file systems give the number of a removed file to the next one.
    birth: Option<StatxTimestamp>,
}

impl Identity {
    /// That of the file with attributes `stat`.
    pub(super) fn of(stat: &Statx) -> Self {
        Identity {
            device: (stat.dev_major, stat.dev_minor),
            inode: stat.ino,
            file_type: stat.file_type(),
            birth: stat.mask.contains(StatxMask::BTIME).then_some(stat.btime),
        }
    }

    pub(super) fn key(&self) -> Key {
        (self.device, self.inode)
    }

    /// Whether both are one file.
    pub(super) fn is(&self, other: &Identity) -> bool {
        let time = |time: &StatxTimestamp| (time.sec, time.nsec);
        let same_birth = match (&self.birth, &other.birth) {
            (Some(one), Some(other)) => time(one) == time(other),
            _ => true,
        };
        same_birth && (self.device, self.inode, self.file_type) == (other.device, other.inode, other.file_type)
    }
}
