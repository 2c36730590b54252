//! Between the FUSE library's types and ours.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fuser::{Errno, FileAttr, FileType, INodeNo, ReplyEmpty, ReplyWrite, ReplyXattr, Request, TimeOrNow};
use lisafs::wire::{S_IFMT, Statx, StatxMask, StatxTimestamp, Timespec};

use crate::fs::caller::Caller;
use crate::fs::fuse::convert::join_device;
use crate::fs::fuse::handler::{XattrReply, xattr_reply};
use crate::fs::identity::NodeId;

pub(super) fn node(ino: INodeNo) -> NodeId {
    NodeId(ino.0)
}

pub(super) fn caller(request: &Request) -> Caller {
    Caller { pid: request.pid(), ..Caller::new(request.uid(), request.gid()) }
}

pub(super) fn errno(error: lisafs::Errno) -> Errno {
    Errno::from_i32(error.raw_os_error())
}

pub(super) fn reply_empty(result: Result<(), lisafs::Errno>, reply: ReplyEmpty) {
    match result {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(errno(error)),
    }
}

pub(super) fn reply_written(result: Result<u32, lisafs::Errno>, reply: ReplyWrite) {
    match result {
        Ok(written) => reply.written(written),
        Err(error) => reply.error(errno(error)),
    }
}

pub(super) fn reply_xattr(value: Result<Vec<u8>, lisafs::Errno>, size: u32, reply: ReplyXattr) {
    match value.and_then(|value| xattr_reply(value, size)) {
        Ok(XattrReply::Length(length)) => reply.size(length),
        Ok(XattrReply::Value(value)) => reply.data(&value),
        Err(error) => reply.error(errno(error)),
    }
}

pub(super) fn file_type(mode: u32) -> FileType {
    match mode & S_IFMT {
        libc::S_IFDIR => FileType::Directory,
        libc::S_IFLNK => FileType::Symlink,
        libc::S_IFIFO => FileType::NamedPipe,
        libc::S_IFSOCK => FileType::Socket,
        libc::S_IFCHR => FileType::CharDevice,
        libc::S_IFBLK => FileType::BlockDevice,
        _ => FileType::RegularFile,
    }
}

pub(super) fn attributes(id: NodeId, stat: &Statx) -> FileAttr {
    FileAttr {
        ino: INodeNo(id.0),
        size: stat.size,
        blocks: stat.blocks,
        atime: time(stat.atime),
        mtime: time(stat.mtime),
        ctime: time(stat.ctime),
        crtime: time(stat.btime),
        kind: file_type(stat.mode.into()),
        perm: stat.mode & 0o7777,
        // Without any link there would be no way to make one.
        nlink: if stat.mask.contains(StatxMask::NLINK) { stat.nlink } else { 1 },
        uid: stat.uid,
        gid: stat.gid,
        rdev: join_device(stat.rdev_major, stat.rdev_minor),
        blksize: stat.blksize,
        flags: 0,
    }
}

pub(super) fn time(stamp: StatxTimestamp) -> SystemTime {
    let nanoseconds = Duration::from_nanos(stamp.nsec.into());
    let seconds = Duration::from_secs(stamp.sec.unsigned_abs());
    let whole = if stamp.sec < 0 { UNIX_EPOCH.checked_sub(seconds) } else { UNIX_EPOCH.checked_add(seconds) };
    whole.and_then(|time| time.checked_add(nanoseconds)).unwrap_or(UNIX_EPOCH)
}

pub(super) fn time_to_set(time: TimeOrNow) -> Timespec {
    let time = match time {
        TimeOrNow::Now => return Timespec { sec: 0, nsec: Timespec::UTIME_NOW },
        TimeOrNow::SpecificTime(time) => time,
    };
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => {
            Timespec { sec: since.as_secs().try_into().unwrap_or(i64::MAX), nsec: since.subsec_nanos().into() }
        }
        // fuser 0.18 counts the nanoseconds of times before 1970 backwards from the seconds, where the kernel counts
        // them forwards; so they come back as they were sent. A test of this mount says when a later fuser does
        // otherwise.
        Err(before) => {
            let before = before.duration();
            let seconds = i64::try_from(before.as_secs()).map_or(i64::MIN, |seconds| -seconds);
            Timespec { sec: seconds, nsec: before.subsec_nanos().into() }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_before_1970_are_counted_forwards() {
        let stamp = time(StatxTimestamp::new(-2, 500_000_000));
        assert_eq!(UNIX_EPOCH.duration_since(stamp).unwrap(), Duration::from_millis(1500));
        assert_eq!(time(StatxTimestamp::new(3, 5)).duration_since(UNIX_EPOCH).unwrap(), Duration::new(3, 5));
    }
}
