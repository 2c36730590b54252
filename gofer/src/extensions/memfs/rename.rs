//! Renaming.

use std::sync::Arc;

use parking_lot::RwLockWriteGuard;

use super::Shared;
use super::dir::Key;
use super::inode::{Body, Inode, State};
use super::remove::{check_empty, lose_name};
use super::time::Time;
use lisafs::backend::{Error, FileType, Name, RenameFlags, Result};

type Guard<'a> = RwLockWriteGuard<'a, State>;

/// Gives the entry `from` the name `to`. The locking order is in [the module's documentation](super).
pub(super) fn rename(from: (&Arc<Inode>, Name<'_>), to: (&Arc<Inode>, Name<'_>), flags: RenameFlags) -> Result<()> {
    let is_exchange = flags == RenameFlags::Exchange;
    if !is_exchange && flags != RenameFlags::Replace && !flags.keeps_new_name() && !flags.leaves_whiteout() {
        return Err(Error::INVAL);
    }
    let (old_dir, new_dir) = (from.0, to.0);
    let fs = old_dir.fs();
    let (from, to) = (fs.key(from.1)?, fs.key(to.1)?);
    // A file that is none would be locked before a directory, against the order.
    if ![old_dir, new_dir].into_iter().all(|dir| dir.is(FileType::Directory)) {
        return Err(Error::NOTDIR);
    }
    let one_at_a_time = fs.renames.lock();
    let mut dirs = Dirs::lock(old_dir, new_dir);

    let moved = dirs.source().dir()?.get(&from).ok_or(Error::NOENT)?.clone();
    let target = dirs.target().dir()?.get(&to).cloned();
    match &target {
        Some(_) if flags.keeps_new_name() => return Err(Error::EXIST),
        None if is_exchange => return Err(Error::NOENT),
        _ => {}
    }
    if dirs.towards_new == Some(moved.ino()) {
        return Err(Error::INVAL);
    }
    if dirs.towards_old.is_some() && dirs.towards_old == target.as_ref().map(|target| target.ino()) {
        return Err(if is_exchange { Error::INVAL } else { Error::NOTEMPTY });
    }
    match &target {
        // Two names of one file: there is nothing to do.
        Some(target) if Arc::ptr_eq(target, &moved) => Ok(()),
        Some(target) if is_exchange => exchange(&mut dirs, (&from, &moved), (&to, target)),
        Some(target) => replace(&mut dirs, (&from, &moved), (&to, target), left_behind(fs, flags)?),
        None => shift(&mut dirs, (&from, &moved), &to, left_behind(fs, flags)?),
    }?;
    // Freeing what was replaced may take a while.
    drop(dirs);
    drop(one_at_a_time);
    drop(target);
    Ok(())
}

/// What takes the old name.
fn left_behind(fs: &Arc<Shared>, flags: RenameFlags) -> Result<Option<Arc<Inode>>> {
    if flags.leaves_whiteout() { Inode::whiteout(fs).map(Some) } else { Ok(None) }
}

/// Moves a file to a name that was free.
fn shift(
    dirs: &mut Dirs<'_>,
    (from, moved): (&Key<'_>, &Arc<Inode>),
    to: &Key<'_>,
    left: Option<Arc<Inode>>,
) -> Result<()> {
    let now = Time::now();
    let position = dirs.target().dir()?.free_position(to)?;
    moved_to(moved, &mut moved.write(), dirs.new_dir, now);
    dirs.leave(from, left)?;
    dirs.target().dir_mut()?.insert(position, to, moved.clone());
    dirs.count(moved, 1);
    dirs.modified(now);
    Ok(())
}

/// Moves a file to a name that has another one.
fn replace(
    dirs: &mut Dirs<'_>,
    (from, moved): (&Key<'_>, &Arc<Inode>),
    (to, target): (&Key<'_>, &Arc<Inode>),
    left: Option<Arc<Inode>>,
) -> Result<()> {
    match (moved.is(FileType::Directory), target.is(FileType::Directory)) {
        (true, false) => return Err(Error::NOTDIR),
        (false, true) => return Err(Error::ISDIR),
        _ => {}
    }
    let now = Time::now();
    {
        let (mut moved_state, mut target_state) = (moved.write(), target.write());
        check_empty(&target_state)?;
        lose_name(target, &mut target_state, now);
        moved_to(moved, &mut moved_state, dirs.new_dir, now);
    }
    dirs.leave(from, left)?;
    dirs.target().dir_mut()?.replace(to, moved.clone());
    dirs.count(moved, 1);
    if target.is(FileType::Directory) {
        dirs.target().nlink -= 1;
    }
    dirs.modified(now);
    Ok(())
}

/// Swaps two files.
fn exchange(
    dirs: &mut Dirs<'_>,
    (from, moved): (&Key<'_>, &Arc<Inode>),
    (to, target): (&Key<'_>, &Arc<Inode>),
) -> Result<()> {
    let now = Time::now();
    {
        // Directories first.
        let moved_first = moved.is(FileType::Directory);
        let (first, second) = if moved_first { (moved, target) } else { (target, moved) };
        let (first_dir, second_dir) =
            if moved_first { (dirs.new_dir, dirs.old_dir) } else { (dirs.old_dir, dirs.new_dir) };
        let (mut first_state, mut second_state) = (first.write(), second.write());
        moved_to(first, &mut first_state, first_dir, now);
        moved_to(second, &mut second_state, second_dir, now);
    }
    dirs.source().dir_mut()?.replace(from, target.clone());
    dirs.target().dir_mut()?.replace(to, moved.clone());
    dirs.count(moved, 1);
    dirs.count(target, -1);
    dirs.modified(now);
    Ok(())
}

/// Records in a file that it is now in `dir`.
fn moved_to(inode: &Inode, state: &mut State, dir: &Arc<Inode>, now: Time) {
    if let Body::Directory(moved) = &mut state.body {
        debug_assert!(inode.is(FileType::Directory));
        moved.parent = Arc::downgrade(dir);
    }
    state.ctime = now;
}

/// The two directories of a rename, which may be one.
struct Dirs<'a> {
    old_dir: &'a Arc<Inode>,
    new_dir: &'a Arc<Inode>,
    old: Guard<'a>,
    /// Nothing if it is the same.
    new: Option<Guard<'a>>,
    /// The entry of the old directory that is, or is above, the new one.
    towards_new: Option<u64>,
    /// The entry of the new directory that is, or is above, the old one.
    towards_old: Option<u64>,
}

impl<'a> Dirs<'a> {
    /// Locks both in the right order. The caller keeps other renames away.
    fn lock(old_dir: &'a Arc<Inode>, new_dir: &'a Arc<Inode>) -> Self {
        if Arc::ptr_eq(old_dir, new_dir) {
            let old = old_dir.write();
            return Dirs { old_dir, new_dir, old, new: None, towards_new: None, towards_old: None };
        }
        let (towards_new, towards_old) = (step_towards(old_dir, new_dir), step_towards(new_dir, old_dir));
        let (old, new) = if towards_old.is_some() {
            let new = new_dir.write();
            (old_dir.write(), new)
        } else {
            let old = old_dir.write();
            (old, new_dir.write())
        };
        Dirs { old_dir, new_dir, old, new: Some(new), towards_new, towards_old }
    }

    fn source(&mut self) -> &mut State {
        &mut self.old
    }

    fn target(&mut self) -> &mut State {
        self.new.as_mut().unwrap_or(&mut self.old)
    }

    /// Takes the name `from` from the source, or gives it to what is left there.
    fn leave(&mut self, from: &Key<'_>, left: Option<Arc<Inode>>) -> Result<()> {
        let dir = self.source().dir_mut()?;
        match left {
            Some(left) => dir.replace(from, left),
            None => dir.remove(from),
        };
        Ok(())
    }

    /// Counts a directory that was moved: one less in the old, one more in the new.
    fn count(&mut self, moved: &Inode, by: i32) {
        if moved.is(FileType::Directory) {
            self.source().nlink = self.source().nlink.saturating_add_signed(-by);
            self.target().nlink = self.target().nlink.saturating_add_signed(by);
        }
    }

    fn modified(&mut self, now: Time) {
        self.source().modified(now);
        self.target().modified(now);
    }
}

/// The number of the entry of `high` that is, or is above, `low`; nothing if `low` is not below `high`.
fn step_towards(high: &Arc<Inode>, low: &Arc<Inode>) -> Option<u64> {
    let mut at = low.clone();
    loop {
        let parent = match &at.read().body {
            Body::Directory(dir) => dir.parent.upgrade()?,
            _ => return None,
        };
        if Arc::ptr_eq(&parent, high) {
            return Some(at.ino());
        }
        at = parent;
    }
}
