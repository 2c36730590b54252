//! Positions, as clients have them.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use lisafs::backend::{
    Access, Bound, ControlFile, Created, Credentials, Errno, Error, FileType, Found, Name, NewFile, OpenHow, Opened,
    RenameFlags, Result, SetStat, SetStatFailure, SocketType, StatFs, Statx, StatxMask, Timespec, Unlink, XattrFlags,
};

use super::Volume;
use super::back::{Back, Hold, Move, Pending};
use super::dir::CacheDir;
use super::inode::Place;
use super::node::{Node, Taken};

/// A position.
pub(super) struct Control {
    volume: Arc<Volume>,
    node: Taken,
}

impl Control {
    pub(super) fn new(volume: &Arc<Volume>, node: Arc<Node>) -> Self {
        Control { volume: volume.clone(), node: Taken::new(node) }
    }

    /// A position of `node`, whose attributes the backend was asked for at `asked` or later. `None` if the file is gone
    /// with what was not uploaded.
    fn found(volume: &Arc<Volume>, asked: u64, node: Arc<Node>, stat: Statx) -> Result<Option<(Self, Statx)>> {
        let control = Control::new(volume, node);
        if control.node.inode.pending.is_dropped() {
            return Ok(None);
        }
        let stat = volume.whole(asked, &control.node, stat)?;
        Ok(Some((control, stat)))
    }

    /// The position to which `name` leads from `dir`.
    fn walk_from(volume: &Arc<Volume>, dir: &Arc<Node>, name: Name<'_>) -> Result<(Self, Statx)> {
        loop {
            let asked = volume.inodes.now();
            let (node, stat) = volume.walk(dir, name)?;
            // If the file is gone, its name went before.
            if let Some(found) = Control::found(volume, asked, node, stat)? {
                return Ok(found);
            }
        }
    }

    /// `file` as one of this volume; `EXDEV` if it is another's.
    fn neighbour<'a>(&self, file: &'a dyn ControlFile) -> Result<&'a Arc<Node>> {
        let other: &Control = file.downcast()?;
        if Arc::ptr_eq(&self.volume, &other.volume) { Ok(&other.node) } else { Err(Error::XDEV) }
    }

    /// Makes the entry `name`.
    fn make(&self, name: Name<'_>, make: impl FnOnce() -> Result<Found>) -> Result<Found> {
        let asked = self.volume.inodes.now();
        let (node, stat) = self.make_node(name, || make().map(|found| (found, ())))?.0;
        let (control, stat) = Control::found(&self.volume, asked, node, stat)?.ok_or(Error::STALE)?;
        Ok(Found::new(control, stat))
    }

    fn make_node<T>(
        &self,
        name: Name<'_>,
        make: impl FnOnce() -> Result<(Found, T)>,
    ) -> Result<((Arc<Node>, Statx), T)> {
        let (volume, dir): (_, &Arc<Node>) = (&self.volume, &self.node);
        let change = dir.inode.change();
        let asked = volume.inodes.now();
        let made = make();
        volume.names.remove(dir.inode.number, name.as_bytes());
        let (found, other) = made?;
        let (node, stat) = volume.node(found, Some((dir.clone(), name.as_bytes())));
        node.inode.keep_stat(asked, &stat);
        change.end(|_| {
            node.inode.put(Place::In(dir.inode.clone(), name.as_bytes().into()));
            volume.keep_made(dir, name, Some(node.clone()));
        });
        Ok(((node, stat), other))
    }

    /// What is at `name` in `dir`, if anything is.
    fn entry(&self, dir: &Arc<Node>, name: Name<'_>) -> Result<Option<(Arc<Node>, Statx)>> {
        match self.volume.walk(dir, name) {
            Ok(found) => Ok(Some(found)),
            Err(error) if error == Errno::NOENT => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Removes the entry `name`, or lets another take its place: `remove` does it. It may be the last name of a file
    /// that is open, unless that `stays`.
    fn replace(&self, dir: &Arc<Node>, name: Name<'_>, stays: bool, remove: impl FnOnce() -> Result<()>) -> Result<()> {
        let (victim, stat) = self.entry(dir, name)?.unzip();
        let is_last = stat.is_some_and(|stat| stat.nlink <= 1);
        let unsaved = victim.as_ref().zip(self.volume.back.as_ref());
        let unsaved = unsaved.filter(|(victim, _)| !stays && victim.inode.pending.is_dirty());
        let last = unsaved.filter(|_| is_last);
        let unlinking = last.and_then(|(victim, back)| Pending::begin_unlink(back, &victim.inode));
        // By another name, its path is another.
        let more_names = unsaved.filter(|_| unlinking.is_none());
        let _hold = more_names.map(|(victim, back)| back.settle(&victim.inode)).transpose()?;
        let change = victim.as_ref().map(|victim| victim.inode.change());
        if let Some(victim) = &victim {
            victim.inode.open_readers();
        }
        let removed = remove();
        self.volume.names.remove(dir.inode.number, name.as_bytes());
        drop(change);
        if let (Some(victim), Ok(())) = (&victim, &removed) {
            victim.moved();
            victim.inode.left(&dir.inode, name.as_bytes());
            if let Some(unlinking) = unlinking {
                unlinking.end();
            }
        }
        removed
    }
}

/// What is being renamed.
struct Moving<'a> {
    file: Arc<Node>,
    /// What takes its place.
    exchanged: Option<Arc<Node>>,
    _holds: Vec<Hold>,
    _move: Move<'a>,
}

impl Control {
    /// Makes what can be made of `change` on the disk of the cache, which has changes of the file that the backend does
    /// not have. Says what is left, and keeps it as it is until that is done.
    fn set_unsaved(&self, change: &SetStat) -> Result<(SetStat, Option<Hold>)> {
        const SET_IDS: u16 = 0o6000;
        let (mut rest, inode) = (*change, &self.node.inode);
        let Some(back) = self.volume.back.as_ref().filter(|_| inode.kind == Some(FileType::Regular)) else {
            return Ok((rest, None));
        };
        if rest.size.is_some_and(|size| back.resize(inode, size)) {
            rest.size = None;
        }
        // What is uploaded later would take these bits away.
        let sets_ids = rest.mode.is_some_and(|mode| mode.bits() & SET_IDS != 0) && inode.pending.is_dirty();
        let is_unsettled = rest.size.is_some() || sets_ids;
        let hold = is_unsettled.then(|| back.settle(inode)).transpose()?;
        Ok((rest, hold))
    }

    /// Has the time `time` that the backend was given outlast what is uploaded later.
    fn keep_time(&self, back: &Back, time: Timespec) -> std::result::Result<(), SetStatFailure> {
        let inode = &self.node.inode;
        if back.set_time(inode, time) {
            return Ok(());
        }
        let failed = |error| SetStatFailure::new(StatxMask::MTIME, error);
        let _hold = back.settle(inode).map_err(failed)?;
        self.node.inner.set_stat(&SetStat::new().mtime(time))
    }

    /// Has the backend have what is renamed, since paths are to lead to what the cache has of files, and since a name
    /// is not to be given to a file whose data is not there.
    fn begin_move(
        &self,
        dir: &Arc<Node>,
        name: Name<'_>,
        new_dir: &Arc<Node>,
        new_name: Name<'_>,
        flags: RenameFlags,
    ) -> Result<Option<Moving<'_>>> {
        let Some(back) = &self.volume.back else { return Ok(None) };
        let moving = back.begin_move();
        let Some((file, _)) = self.entry(dir, name)? else { return Ok(None) };
        let other = if flags == RenameFlags::Exchange { self.entry(new_dir, new_name)? } else { None };
        let exchanged = other.map(|(node, _)| node);
        let mut holds = moving.settle(&file.inode)?;
        if let Some(other) = &exchanged {
            holds.extend(moving.settle(&other.inode)?);
        }
        Ok(Some(Moving { file, exchanged, _holds: holds, _move: moving }))
    }
}

impl Volume {
    fn keep_made(&self, dir: &Node, name: Name<'_>, node: Option<Arc<Node>>) {
        if self.keeps_names {
            self.names.put(dir.inode.number, name.as_bytes(), node);
        }
    }
}

impl ControlFile for Control {
    fn stat(&self) -> Result<Statx> {
        let (volume, node) = (&self.volume, &self.node);
        volume.seen(&node.inode, || node.inode.stat(volume, || node.inner.stat()))
    }

    fn walk(&self, name: Name<'_>) -> Result<Found> {
        let (control, stat) = Control::walk_from(&self.volume, &self.node, name)?;
        Ok(Found::new(control, stat))
    }

    fn walk_stat(&self, path: &mut dyn Iterator<Item = Name<'_>>, visit: &mut dyn FnMut(Statx)) -> Result<()> {
        let mut at = self.node.clone();
        for name in path {
            match at.inode.kind {
                Some(FileType::Directory) => {}
                Some(FileType::Symlink) => return Ok(()),
                _ => return Err(Error::NOTDIR),
            }
            let (control, stat) = match Control::walk_from(&self.volume, &at, name) {
                Err(error) if error == Errno::NOENT => return Ok(()),
                walked => walked?,
            };
            visit(stat);
            at = control.node.clone();
        }
        Ok(())
    }

    fn open(&self, how: OpenHow) -> Result<Opened> {
        match self.node.inode.kind {
            Some(FileType::Regular) => self.volume.open_file(&self.node, how),
            Some(FileType::Directory) if how.access == Access::Read && !how.truncate => {
                Ok(Opened::new(CacheDir::new(self.volume.clone(), self.node.clone(), how)))
            }
            // What goes through them is not kept.
            _ => self.node.inner.open(how),
        }
    }

    fn set_stat(&self, change: &SetStat) -> std::result::Result<(), SetStatFailure> {
        let (volume, node) = (&self.volume, &self.node);
        let failed = |error| SetStatFailure::new(change.mask(), error);
        let (change, _hold) = self.set_unsaved(change).map_err(failed)?;
        let change = &change;
        if change.mask().is_empty() {
            return Ok(());
        }
        let _change = node.inode.change();
        let Some(size) = change.size.filter(|_| node.inode.kind == Some(FileType::Regular)) else {
            // The backend comes first: it may refuse.
            let back = volume.back.as_ref().filter(|_| node.inode.pending.is_dirty());
            let time = change.mtime.filter(|time| time.nsec != Timespec::UTIME_OMIT);
            let set = node.inner.set_stat(change);
            let is_refused = set.as_ref().is_err_and(|failure| failure.mask.contains(StatxMask::MTIME));
            if let Some((back, time)) = back.zip(time).filter(|_| !is_refused) {
                self.keep_time(back, time)?;
            }
            return set;
        };
        let file = volume.store.file(volume.key(node));
        let mut outcome = Ok(());
        let set = || {
            outcome = node.inner.set_stat(change);
            match &outcome {
                Err(failure) if failure.mask.contains(StatxMask::SIZE) => Err(Error::IO),
                _ => Ok(()),
            }
        };
        // What has come of it is in the outcome.
        let _ = if volume.is_exclusive() { file.resize(size, set) } else { file.pass(set) };
        node.inode.pending.pass();
        outcome
    }

    fn create(&self, name: Name<'_>, new: &NewFile, access: Access) -> Result<Created> {
        loop {
            let asked = self.volume.inodes.now();
            let create = || {
                let Created { found, opened, .. } = self.node.inner.create(name, new, access)?;
                Ok((found, opened))
            };
            let ((node, stat), opened) = self.make_node(name, create)?;
            let opened = self.volume.created_file(&node, opened, OpenHow::new(access));
            // Of a name that was there before, the file may have been.
            if let Some((control, stat)) = Control::found(&self.volume, asked, node, stat)? {
                return Ok(Created::new(Found::new(control, stat), opened));
            }
        }
    }

    fn mkdir(&self, name: Name<'_>, new: &NewFile) -> Result<Found> {
        self.make(name, || self.node.inner.mkdir(name, new))
    }

    fn mknod(&self, name: Name<'_>, new: &NewFile, file_type: FileType, device: (u32, u32)) -> Result<Found> {
        self.make(name, || self.node.inner.mknod(name, new, file_type, device))
    }

    fn symlink(&self, name: Name<'_>, target: &[u8], new: &NewFile) -> Result<Found> {
        self.make(name, || self.node.inner.symlink(name, target, new))
    }

    fn link(&self, name: Name<'_>, target: &dyn ControlFile) -> Result<Found> {
        let target = self.neighbour(target)?;
        // It is changed, too: its number of links is.
        let _change = target.inode.change();
        target.inode.pending.link();
        self.make(name, || self.node.inner.link(name, &*target.inner))
    }

    fn unlink(&self, name: Name<'_>, what: Unlink) -> Result<()> {
        let change = self.node.inode.change();
        self.replace(&self.node, name, false, || self.node.inner.unlink(name, what))?;
        change.end(|_| self.volume.keep_made(&self.node, name, None));
        Ok(())
    }

    fn rename(&self, name: Name<'_>, new_dir: &dyn ControlFile, new_name: Name<'_>, flags: RenameFlags) -> Result<()> {
        let (dir, new_dir) = (&self.node, self.neighbour(new_dir)?);
        let moving = self.begin_move(dir, name, new_dir, new_name, flags)?;
        let _changes = (dir.inode.change(), new_dir.inode.change());
        self.replace(dir, name, true, || {
            let stays = flags == RenameFlags::Exchange;
            self.replace(new_dir, new_name, stays, || dir.inner.rename(name, &*new_dir.inner, new_name, flags))
        })?;
        if let Some(Moving { file, exchanged, .. }) = moving {
            file.inode.put(Place::In(new_dir.inode.clone(), new_name.as_bytes().into()));
            if let Some(exchanged) = exchanged {
                exchanged.inode.put(Place::In(dir.inode.clone(), name.as_bytes().into()));
            }
        }
        Ok(())
    }

    fn read_link(&self) -> Result<Vec<u8>> {
        self.node.inode.target(&self.volume, || self.node.inner.read_link())
    }

    fn stat_fs(&self) -> Result<StatFs> {
        self.node.inner.stat_fs()
    }

    fn get_xattr(&self, name: &[u8]) -> Result<Vec<u8>> {
        self.node.inode.xattr(&self.volume, name, || self.node.inner.get_xattr(name))
    }

    fn set_xattr(&self, name: &[u8], value: &[u8], flags: XattrFlags) -> Result<()> {
        let _change = self.node.inode.change();
        self.node.inner.set_xattr(name, value, flags)
    }

    fn list_xattr(&self) -> Result<Vec<Vec<u8>>> {
        self.node.inode.xattr_names(&self.volume, || self.node.inner.list_xattr())
    }

    fn remove_xattr(&self, name: &[u8]) -> Result<()> {
        let _change = self.node.inode.change();
        self.node.inner.remove_xattr(name)
    }

    fn connect(&self, kind: Option<SocketType>, credentials: Option<Credentials>) -> Result<OwnedFd> {
        self.node.inner.connect(kind, credentials)
    }

    fn bind(&self, name: Name<'_>, new: &NewFile, kind: SocketType) -> Result<Bound> {
        let bind = || {
            let Bound { found, socket, donated, .. } = self.node.inner.bind(name, new, kind)?;
            Ok((found, (socket, donated)))
        };
        let ((node, stat), (socket, donated)) = self.make_node(name, bind)?;
        Ok(Bound::new(Found::new(Control::new(&self.volume, node), stat), socket, donated))
    }
}
