//! Setting attributes, and the time of the last access.

use lisafs::backend::{Error, Mode, NO_ID, Result, SetStat, SetStatFailure, StatxMask, Timespec};

use super::File;
use crate::record::{Inode, S_IFDIR, S_IFLNK, S_IFMT, S_IFREG, Time};
use crate::volume::now;

const SET_UID: u16 = 0o4000;
const SET_GID: u16 = 0o2000;
const GROUP_EXECUTE: u16 = 0o010;
const PERMISSIONS: u16 = 0o7777;
const DAY: i64 = 24 * 60 * 60;

/// Size, owner, mode, times, in this order: a change of owner clears set-id bits, a change of size sets times.
pub(super) fn apply(file: &File, change: &SetStat) -> std::result::Result<(), SetStatFailure> {
    let mut failure = None;
    let mut note = |mask: StatxMask, result: Result<()>| {
        if let Err(error) = result {
            failure.get_or_insert_with(|| SetStatFailure::new(StatxMask::empty(), error)).mask |= mask;
        }
    };
    if let Some(size) = change.size {
        note(StatxMask::SIZE, set_size(file, size));
    }
    let mut rest = *change;
    rest.size = None;
    if rest != SetStat::default() {
        let volume = file.volume();
        let usable = volume.throttle();
        if usable.is_err() {
            note(rest.mask(), usable.map_err(Error::from));
        } else {
            let _barrier = volume.barrier.read();
            let now = now();
            let mut state = file.node.lock();
            let inode = &mut state.inode;
            let id = |id: Option<u32>| id.filter(|id| *id != NO_ID);
            set_owner(inode, id(change.uid), id(change.gid), now);
            if let Some(mode) = change.mode {
                note(StatxMask::MODE, set_mode(inode, mode, now));
            }
            if let Some(wanted) = change.atime {
                note(
                    StatxMask::ATIME,
                    requested(wanted, now).map(|time| set(time, &mut inode.atime, &mut inode.ctime, now)),
                );
            }
            if let Some(wanted) = change.mtime {
                note(
                    StatxMask::MTIME,
                    requested(wanted, now).map(|time| set(time, &mut inode.mtime, &mut inode.ctime, now)),
                );
            }
            drop(state);
            volume.changed(&file.node);
        }
    }
    failure.map_or(Ok(()), Err)
}

fn set_size(file: &File, size: u64) -> Result<()> {
    let kind = file.node.lock().inode.mode & S_IFMT;
    match kind {
        S_IFREG => Ok(file.volume().set_size(&file.node, size)?),
        S_IFDIR => Err(Error::ISDIR),
        S_IFLNK => Err(Error::LOOP),
        _ => Err(Error::INVAL),
    }
}

/// Set-id bits were meant for the owner before. A set-group-id bit without the right to execute means something else,
/// and so does one on a directory.
fn set_owner(inode: &mut Inode, uid: Option<u32>, gid: Option<u32>, now: Time) {
    if uid.is_none() && gid.is_none() {
        return;
    }
    inode.uid = uid.unwrap_or(inode.uid);
    inode.gid = gid.unwrap_or(inode.gid);
    if !inode.is(S_IFDIR) {
        inode.mode &= !SET_UID;
        if inode.mode & GROUP_EXECUTE != 0 {
            inode.mode &= !SET_GID;
        }
    }
    inode.ctime = now;
}

fn set_mode(inode: &mut Inode, mode: Mode, now: Time) -> Result<()> {
    if inode.is(S_IFLNK) {
        return Err(Error::OPNOTSUPP);
    }
    inode.mode = inode.mode & S_IFMT | mode.bits() & PERMISSIONS;
    inode.ctime = now;
    Ok(())
}

/// Sets a time, unless it is to be left as it is, which changes nothing at all.
fn set(time: Option<Time>, which: &mut Time, ctime: &mut Time, now: Time) {
    if let Some(time) = time {
        *which = time;
        *ctime = now;
    }
}

/// The time that a client asks to set; nothing if it asks to leave the time as it is.
fn requested(wanted: Timespec, now: Time) -> Result<Option<Time>> {
    match wanted.nsec {
        Timespec::UTIME_NOW => Ok(Some(now)),
        Timespec::UTIME_OMIT => Ok(None),
        nsec => match u32::try_from(nsec) {
            Ok(nsec) if nsec < 1_000_000_000 => Ok(Some(Time { sec: wanted.sec, nsec })),
            _ => Err(Error::INVAL),
        },
    }
}

impl File {
    /// Records that the content was read, if it was changed since it last was, or once a day, as `relatime` does.
    pub(super) fn accessed(&self) {
        let volume = self.volume();
        if volume.options.read_only {
            return;
        }
        let now = now();
        let is_due = |inode: &Inode| {
            let Inode { atime, mtime, ctime, .. } = inode;
            atime <= mtime || atime <= ctime || now.sec.saturating_sub(atime.sec) >= DAY
        };
        if !is_due(&self.node.lock().inode) {
            return;
        }
        let _barrier = volume.barrier.read();
        let mut state = self.node.lock();
        if is_due(&state.inode) {
            state.inode.atime = now;
            drop(state);
            volume.changed(&self.node);
        }
    }
}
