//! Removing names.

use super::control::MemControl;
use super::inode::{Inode, State};
use super::time::Time;
use lisafs::backend::{Error, FileType, Name, Result, Unlink};

impl MemControl {
    /// Removes the name of a file or empty directory.
    pub(super) fn remove(&self, name: Name<'_>, what: Unlink) -> Result<()> {
        let key = self.inode().fs().key(name)?;
        let mut state = self.inode().write();
        let dir = state.dir_mut()?;
        let victim = dir.get(&key).ok_or(Error::NOENT)?.clone();
        match (what, victim.is(FileType::Directory)) {
            (Unlink::File, true) => return Err(Error::ISDIR),
            (Unlink::Directory, false) => return Err(Error::NOTDIR),
            _ => {}
        }
        let now = Time::now();
        {
            let mut victim_state = victim.write();
            check_empty(&victim_state)?;
            lose_name(&victim, &mut victim_state, now);
        }
        dir.remove(&key);
        if what == Unlink::Directory {
            state.nlink -= 1;
        }
        state.modified(now);
        // Freeing the file may take a while.
        drop(state);
        drop(victim);
        Ok(())
    }
}

/// `ENOTEMPTY` if this is a directory with entries.
pub(super) fn check_empty(state: &State) -> Result<()> {
    match state.dir() {
        Ok(dir) if !dir.is_empty() => Err(Error::NOTEMPTY),
        _ => Ok(()),
    }
}

/// Takes a name from a file, or its only one from a directory.
pub(super) fn lose_name(inode: &Inode, state: &mut State, now: Time) {
    state.nlink = if inode.is(FileType::Directory) { 0 } else { state.nlink - 1 };
    if state.nlink > 0 {
        // The last one is given back with the file.
        inode.fs().space.give_name();
    }
    state.ctime = now;
}
