//! Setting attributes.

use super::inode::{Body, Inode, State};
use super::time::Time;
use lisafs::backend::{Error, FileType, Mode, NO_ID, Result, SetStat, SetStatFailure, StatxMask};

const SET_UID: u16 = 0o4000;
const SET_GID: u16 = 0o2000;
const GROUP_EXECUTE: u16 = 0o010;

/// Size, owner, mode, times, in this order: a change of owner clears set-id bits, a change of size sets times.
pub(super) fn apply(inode: &Inode, change: &SetStat) -> std::result::Result<(), SetStatFailure> {
    let now = Time::now();
    let mut failure = None;
    let mut note = |mask: StatxMask, result: Result<()>| {
        if let Err(error) = result {
            failure.get_or_insert_with(|| SetStatFailure::new(StatxMask::empty(), error)).mask |= mask;
        }
    };
    let mut state = inode.write();
    if let Some(size) = change.size {
        note(StatxMask::SIZE, set_size(inode, &mut state, size, now));
    }
    let id = |id: Option<u32>| id.filter(|id| *id != NO_ID);
    let (uid, gid) = (id(change.uid), id(change.gid));
    if uid.is_some() || gid.is_some() {
        set_owner(inode, &mut state, uid, gid, now);
    }
    if let Some(mode) = change.mode {
        note(StatxMask::MODE, set_mode(inode, &mut state, mode, now));
    }
    for (bit, wanted, which) in
        [(StatxMask::ATIME, change.atime, Which::Access), (StatxMask::MTIME, change.mtime, Which::Modified)]
    {
        if let Some(wanted) = wanted {
            note(bit, Time::requested(wanted, now).map(|time| set_time(&mut state, which, time, now)));
        }
    }
    failure.map_or(Ok(()), Err)
}

fn set_size(inode: &Inode, state: &mut State, size: u64, now: Time) -> Result<()> {
    match &mut state.body {
        Body::Regular(content) => content.set_size(size, inode.fs())?,
        Body::Directory(_) => return Err(Error::ISDIR),
        Body::Symlink(_) => return Err(Error::LOOP),
        Body::Device { .. } | Body::Special => return Err(Error::INVAL),
    }
    state.modified(now);
    Ok(())
}

/// Set-id bits were meant for the owner before. A set-group-id bit without the right to execute means something else,
/// and so does one on a directory.
fn set_owner(inode: &Inode, state: &mut State, uid: Option<u32>, gid: Option<u32>, now: Time) {
    state.owner.uid = uid.unwrap_or(state.owner.uid);
    state.owner.gid = gid.unwrap_or(state.owner.gid);
    if !inode.is(FileType::Directory) {
        state.mode &= !SET_UID;
        if state.mode & GROUP_EXECUTE != 0 {
            state.mode &= !SET_GID;
        }
    }
    state.ctime = now;
}

fn set_mode(inode: &Inode, state: &mut State, mode: Mode, now: Time) -> Result<()> {
    if inode.is(FileType::Symlink) {
        return Err(Error::OPNOTSUPP);
    }
    state.mode = mode.bits();
    state.xattrs.mode_was_set(mode);
    state.ctime = now;
    Ok(())
}

/// The times that can be set.
#[derive(Clone, Copy)]
enum Which {
    Access,
    Modified,
}

/// Sets a time, unless it is to be left as it is, which changes nothing at all.
fn set_time(state: &mut State, which: Which, time: Option<Time>, now: Time) {
    let Some(time) = time else { return };
    match which {
        Which::Access => state.atime = time,
        Which::Modified => state.mtime = time,
    }
    state.ctime = now;
}
