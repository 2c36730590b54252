//! Positions in the tree.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use lisafs::backend::{
    Access, Bound, ControlFile, Created, Credentials, Errno, Error, FileType, Found, Name, NewFile, OpenBox, OpenHow,
    Opened, RenameFlags, Result, SetStat, SetStatFailure, SocketType, StatFs, Statx, Unlink, XattrFlags,
};

use super::dir::CryptDir;
use super::file::CryptFile;
use super::node::{Node, entry};
use super::{Volume, neighbour};

/// A position.
pub(super) struct Control {
    pub(super) volume: Arc<Volume>,
    pub(super) node: Arc<Node>,
}

impl Control {
    /// A file that was found in this directory.
    pub(super) fn found(&self, found: Found) -> Result<Found> {
        self.volume.found(found, Node::new)
    }

    fn open_file(&self, how: OpenHow) -> Result<Opened> {
        let inode = self.volume.inodes.get(self.node.identity);
        let inner = if how.truncate {
            let _content = inode.content.write();
            let inner = self.open_inner(how)?;
            inode.set_id(None);
            inner
        } else {
            self.open_inner(how)?
        };
        Ok(Opened::new(CryptFile { volume: self.volume.clone(), node: self.node.clone(), inode, inner }))
    }

    /// Opens the inner file such that blocks can be read if they can be written.
    pub(super) fn open_inner(&self, how: OpenHow) -> Result<OpenBox> {
        if !how.access.writes() {
            return Ok(self.volume.mends.open(self.node.identity, self.node.inner.open(how)?.file));
        }
        let mut both = how;
        both.access = Access::ReadWrite;
        match self.node.inner.open(both) {
            // Without privileges the owner's own right to read is asked for, too. It is easily had.
            Err(error) if error == Errno::ACCESS => self.open_unreadable(both).ok_or(error),
            opened => Ok(opened?.file),
        }
    }

    /// Opens a file that its owner may write but not read.
    fn open_unreadable(&self, how: OpenHow) -> Option<OpenBox> {
        const OWNER_READS: u16 = 0o400;
        const OWNER_WRITES: u16 = 0o200;
        let mode = self.node.inner.stat().ok()?.mode;
        if mode & (OWNER_READS | OWNER_WRITES) != OWNER_WRITES {
            return None;
        }
        self.node.inner.set_stat(&SetStat::new().mode(lisafs::backend::Mode::new(mode | OWNER_READS))).ok()?;
        let opened = self.node.inner.open(how);
        let restored = self.node.inner.set_stat(&SetStat::new().mode(lisafs::backend::Mode::new(mode)));
        if restored.is_err() {
            tracing::warn!("the file with inode number {} remains readable by its owner", self.node.identity.2);
        }
        Some(opened.ok()?.file)
    }
}

impl ControlFile for Control {
    fn stat(&self) -> Result<Statx> {
        self.volume.plain(self.node.inner.stat()?, || self.node.inner.read_link())
    }

    fn walk(&self, name: Name<'_>) -> Result<Found> {
        if self.node.is_reserved(&self.volume, name.as_bytes()) {
            return Err(Error::NOENT);
        }
        let stored = self.node.stored(&self.volume, name)?;
        self.found(self.node.inner.walk(entry(&stored)?)?)
    }

    fn walk_stat(&self, path: &mut dyn Iterator<Item = Name<'_>>, visit: &mut dyn FnMut(Statx)) -> Result<()> {
        let mut at = self.node.clone();
        let mut next = path.next();
        while let Some(name) = next {
            next = path.next();
            if at.is_reserved(&self.volume, name.as_bytes()) {
                return Ok(());
            }
            let stored = at.stored(&self.volume, name)?;
            // The last one is only looked at.
            if next.is_none() && self.volume.walks_paths && self.volume.knows_sizes_of_links() {
                let mut found = |stat| {
                    if let Ok(stat) = self.volume.plain(stat, || Err(Error::INVAL)) {
                        visit(stat);
                    }
                };
                return at.inner.walk_stat(&mut std::iter::once(entry(&stored)?), &mut found);
            }
            let found = match at.inner.walk(entry(&stored)?) {
                Err(error) if error == Errno::NOENT => return Ok(()),
                found => found?,
            };
            visit(self.volume.plain(found.stat, || found.file.read_link())?);
            if found.stat.file_type() == Some(FileType::Symlink) {
                return Ok(());
            }
            at = Arc::new(Node::new(found));
        }
        Ok(())
    }

    fn open(&self, how: OpenHow) -> Result<Opened> {
        match self.node.kind {
            Some(FileType::Regular) => self.open_file(how),
            Some(FileType::Directory) => {
                let inner = self.node.inner.open(how)?.file;
                Ok(Opened::new(CryptDir::new(self.volume.clone(), self.node.clone(), inner)))
            }
            // What goes through them is not encrypted.
            _ => self.node.inner.open(how),
        }
    }

    fn set_stat(&self, change: &SetStat) -> std::result::Result<(), SetStatFailure> {
        self.apply(change)
    }

    fn create(&self, name: Name<'_>, new: &NewFile, _: Access) -> Result<Created> {
        self.create_file(name, new)
    }

    fn mkdir(&self, name: Name<'_>, new: &NewFile) -> Result<Found> {
        self.make_dir(name, new)
    }

    fn mknod(&self, name: Name<'_>, new: &NewFile, file_type: FileType, device: (u32, u32)) -> Result<Found> {
        self.make(name, new, |entry| self.node.inner.mknod(entry, new, file_type, device))
    }

    fn symlink(&self, name: Name<'_>, target: &[u8], new: &NewFile) -> Result<Found> {
        let stored = self.volume.keys.store_target(target).ok_or(Error::NAMETOOLONG)?;
        self.make(name, new, |entry| self.node.inner.symlink(entry, &stored, new))
    }

    fn link(&self, name: Name<'_>, target: &dyn ControlFile) -> Result<Found> {
        let target = neighbour(&self.volume, target)?;
        self.make_link(name, target)
    }

    fn unlink(&self, name: Name<'_>, what: Unlink) -> Result<()> {
        match what {
            Unlink::File => self.remove_file(name),
            Unlink::Directory => self.remove_dir(name),
        }
    }

    fn rename(&self, name: Name<'_>, new_dir: &dyn ControlFile, new_name: Name<'_>, flags: RenameFlags) -> Result<()> {
        let new_dir = neighbour(&self.volume, new_dir)?;
        self.rename_to(name, new_dir, new_name, flags)
    }

    fn read_link(&self) -> Result<Vec<u8>> {
        self.target()
    }

    fn stat_fs(&self) -> Result<StatFs> {
        self.node.inner.stat_fs().map(|stat| self.plain_fs(stat))
    }

    fn get_xattr(&self, name: &[u8]) -> Result<Vec<u8>> {
        self.attribute(name)
    }

    fn set_xattr(&self, name: &[u8], value: &[u8], flags: XattrFlags) -> Result<()> {
        self.set_attribute(name, value, flags)
    }

    fn list_xattr(&self) -> Result<Vec<Vec<u8>>> {
        self.attributes()
    }

    fn remove_xattr(&self, name: &[u8]) -> Result<()> {
        self.remove_attribute(name)
    }

    fn connect(&self, kind: Option<SocketType>, credentials: Option<Credentials>) -> Result<OwnedFd> {
        self.node.inner.connect(kind, credentials)
    }

    fn bind(&self, name: Name<'_>, new: &NewFile, kind: SocketType) -> Result<Bound> {
        let stored = self.node.stored(&self.volume, name)?;
        let bound = self.named(&stored, (new.uid, new.gid), |entry| self.node.inner.bind(entry, new, kind))?;
        Ok(Bound::new(self.found(bound.found)?, bound.socket, bound.donated))
    }
}
