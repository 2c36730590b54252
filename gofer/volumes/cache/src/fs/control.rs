//! Positions, as clients have them.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use lisafs::backend::{
    Access, Bound, ControlFile, Created, Credentials, Errno, Error, FileType, Found, Name, NewFile, OpenHow, Opened,
    RenameFlags, Result, SetStat, SetStatFailure, SocketType, StatFs, Statx, Unlink, XattrFlags,
};

use super::Volume;
use super::dir::CacheDir;
use super::node::Node;

/// A position.
pub(super) struct Control {
    pub(super) volume: Arc<Volume>,
    pub(super) node: Arc<Node>,
}

impl Control {
    fn control(&self, node: Arc<Node>, stat: Statx) -> Found {
        Found::new(Control { volume: self.volume.clone(), node }, stat)
    }

    /// `file` as one of this volume; `EXDEV` if it is another's.
    fn neighbour<'a>(&self, file: &'a dyn ControlFile) -> Result<&'a Arc<Node>> {
        let other: &Control = file.downcast()?;
        if Arc::ptr_eq(&self.volume, &other.volume) { Ok(&other.node) } else { Err(Error::XDEV) }
    }

    /// Makes the entry `name`.
    fn make(&self, name: Name<'_>, make: impl FnOnce() -> Result<Found>) -> Result<Found> {
        let (node, stat) = self.make_node(name, || make().map(|found| (found, ())))?.0;
        Ok(self.control(node, stat))
    }

    fn make_node<T>(
        &self,
        name: Name<'_>,
        make: impl FnOnce() -> Result<(Found, T)>,
    ) -> Result<((Arc<Node>, Statx), T)> {
        let (volume, dir) = (&self.volume, &self.node);
        let change = dir.inode.change();
        let asked = volume.inodes.now();
        let made = make();
        volume.names.remove(dir.inode.number, name.as_bytes());
        let (found, other) = made?;
        let (node, stat) = volume.node(found, Some((dir.clone(), name.as_bytes())));
        node.inode.keep_stat(asked, &stat);
        change.end(|_| volume.keep_made(dir, name, Some(node.clone())));
        Ok(((node, stat), other))
    }

    /// Removes the entry `name`, or lets another take its place: `remove` does it. It may be the last name of a file
    /// that is open.
    fn replace(&self, dir: &Arc<Node>, name: Name<'_>, remove: impl FnOnce() -> Result<()>) -> Result<()> {
        let victim = match self.volume.walk(dir, name) {
            Ok((node, _)) => Some(node),
            Err(error) if error == Errno::NOENT => None,
            Err(error) => return Err(error),
        };
        let change = victim.as_ref().map(|victim| victim.inode.change());
        if let Some(victim) = &victim {
            victim.inode.open_readers();
        }
        let removed = remove();
        self.volume.names.remove(dir.inode.number, name.as_bytes());
        drop(change);
        if let (Some(victim), Ok(())) = (&victim, &removed) {
            victim.moved();
        }
        removed
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
        self.node.inode.stat(&self.volume, || self.node.inner.stat())
    }

    fn walk(&self, name: Name<'_>) -> Result<Found> {
        let (node, stat) = self.volume.walk(&self.node, name)?;
        Ok(self.control(node, stat))
    }

    fn walk_stat(&self, path: &mut dyn Iterator<Item = Name<'_>>, visit: &mut dyn FnMut(Statx)) -> Result<()> {
        let mut at = self.node.clone();
        for name in path {
            match at.inode.kind {
                Some(FileType::Directory) => {}
                Some(FileType::Symlink) => return Ok(()),
                _ => return Err(Error::NOTDIR),
            }
            let (node, stat) = match self.volume.walk(&at, name) {
                Err(error) if error == Errno::NOENT => return Ok(()),
                walked => walked?,
            };
            visit(stat);
            at = node;
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
        let _change = node.inode.change();
        let Some(size) = change.size.filter(|_| node.inode.kind == Some(FileType::Regular)) else {
            return node.inner.set_stat(change);
        };
        let file = volume.store.file(volume.key(node));
        let mut outcome = Ok(());
        let set = || {
            outcome = node.inner.set_stat(change);
            match &outcome {
                Err(failure) if failure.mask.contains(lisafs::backend::StatxMask::SIZE) => Err(Error::IO),
                _ => Ok(()),
            }
        };
        // What has come of it is in the outcome.
        let _ = if volume.is_exclusive() { file.resize(size, set) } else { file.pass(set) };
        outcome
    }

    fn create(&self, name: Name<'_>, new: &NewFile, access: Access) -> Result<Created> {
        let create = || {
            let Created { found, opened, .. } = self.node.inner.create(name, new, access)?;
            Ok((found, opened))
        };
        let ((node, stat), opened) = self.make_node(name, create)?;
        let opened = self.volume.created_file(&node, opened, OpenHow::new(access));
        Ok(Created::new(self.control(node, stat), opened))
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
        self.make(name, || self.node.inner.link(name, &*target.inner))
    }

    fn unlink(&self, name: Name<'_>, what: Unlink) -> Result<()> {
        let change = self.node.inode.change();
        self.replace(&self.node, name, || self.node.inner.unlink(name, what))?;
        change.end(|_| self.volume.keep_made(&self.node, name, None));
        Ok(())
    }

    fn rename(&self, name: Name<'_>, new_dir: &dyn ControlFile, new_name: Name<'_>, flags: RenameFlags) -> Result<()> {
        let (dir, new_dir) = (&self.node, self.neighbour(new_dir)?);
        let _changes = (dir.inode.change(), new_dir.inode.change());
        self.replace(dir, name, || {
            self.replace(new_dir, new_name, || dir.inner.rename(name, &*new_dir.inner, new_name, flags))
        })
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
        Ok(Bound::new(self.control(node, stat), socket, donated))
    }
}
