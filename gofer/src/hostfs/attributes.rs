//! Attributes of host files.

use std::os::fd::BorrowedFd;

use rustix::fs::{AtFlags, FileType, Gid, StatxAttributes, StatxFlags, Uid, chownat, fstatfs, statx};
use rustix::io::Result;

use lisafs::backend::{NO_ID, StatFs, Statx, StatxMask, StatxTimestamp};

/// The attributes that clients get.
const WANTED: StatxFlags = StatxFlags::BASIC_STATS.union(StatxFlags::BTIME);

/// The set-id bits, which the kernel clears now and then.
pub(super) const SET_IDS: u32 = 0o6000;

/// The bits of a mode that can be set.
pub(super) const PERMISSIONS: u32 = 0o7777;

/// Attributes of the file of `fd`.
pub(super) fn stat(fd: BorrowedFd<'_>) -> Result<Statx> {
    Ok(stat_held(fd)?.0)
}

/// Attributes of the file of `fd`, and whether it is where the kernel may still have to mount something: a directory
/// that is known for that, or a root, which may be one of those that wait for a daemon to mount over them.
pub(super) fn stat_held(fd: BorrowedFd<'_>) -> Result<(Statx, bool)> {
    const SUSPECT: StatxAttributes = StatxAttributes::AUTOMOUNT.union(StatxAttributes::MOUNT_ROOT);
    let from = statx(fd, c"", AtFlags::EMPTY_PATH | AtFlags::NO_AUTOMOUNT, WANTED)?;
    Ok((convert(&from), from.stx_attributes.intersects(SUSPECT)))
}

/// Attributes of the entry `name` of `dir`.
pub(super) fn stat_entry(dir: BorrowedFd<'_>, name: &[u8]) -> Result<Statx> {
    Ok(convert(&statx(dir, name, AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT, WANTED)?))
}

/// The type in attributes.
pub(super) fn kind(stat: &Statx) -> FileType {
    FileType::from_raw_mode(stat.mode.into())
}

/// Whether both are the same file.
pub(super) fn is_same_file(a: &Statx, b: &Statx) -> bool {
    (a.ino, a.dev_major, a.dev_minor) == (b.ino, b.dev_major, b.dev_minor)
}

fn convert(from: &rustix::fs::Statx) -> Statx {
    let time = |time: &rustix::fs::StatxTimestamp| StatxTimestamp::new(time.tv_sec, time.tv_nsec);
    Statx {
        mask: StatxMask::from_bits_retain(from.stx_mask),
        blksize: from.stx_blksize,
        nlink: from.stx_nlink,
        uid: from.stx_uid,
        gid: from.stx_gid,
        mode: from.stx_mode,
        ino: from.stx_ino,
        size: from.stx_size,
        blocks: from.stx_blocks,
        atime: time(&from.stx_atime),
        btime: time(&from.stx_btime),
        ctime: time(&from.stx_ctime),
        mtime: time(&from.stx_mtime),
        rdev_major: from.stx_rdev_major,
        rdev_minor: from.stx_rdev_minor,
        dev_major: from.stx_dev_major,
        dev_minor: from.stx_dev_minor,
        ..Statx::default()
    }
}

/// Statistics of the file system that `fd` is on.
pub(super) fn stat_fs(fd: BorrowedFd<'_>) -> Result<StatFs> {
    let from = fstatfs(fd)?;
    Ok(StatFs {
        kind: from.f_type.cast_unsigned(),
        block_size: from.f_bsize,
        blocks: from.f_blocks,
        blocks_free: from.f_bfree,
        blocks_available: from.f_bavail,
        files: from.f_files,
        files_free: from.f_ffree,
        name_length: from.f_namelen.cast_unsigned(),
    })
}

/// Gives the file of `fd` to another owner or group.
pub(super) fn set_owner(fd: BorrowedFd<'_>, uid: Option<u32>, gid: Option<u32>) -> Result<()> {
    let flags = AtFlags::EMPTY_PATH | AtFlags::SYMLINK_NOFOLLOW;
    let uid = uid.filter(|id| *id != NO_ID).map(Uid::from_raw);
    let gid = gid.filter(|id| *id != NO_ID).map(Gid::from_raw);
    if uid.is_none() && gid.is_none() { Ok(()) } else { chownat(fd, c"", uid, gid, flags) }
}
