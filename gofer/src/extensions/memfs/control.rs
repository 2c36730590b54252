//! Positions in the tree.
//!
//! A control file is a file and not a name: a file does not know what it is called, and may be called nothing any more.

use std::sync::Arc;

use super::attributes;
use super::inode::{Body, Inode};
use lisafs::backend::{
    Access, ControlFile, Created, Errno, Error, FileType, Found, Name, NewFile, OpenHow, Opened, RenameFlags, Result,
    SetStat, SetStatFailure, StatFs, Statx, Unlink, XattrFlags,
};

/// A file.
pub(super) struct MemControl(Arc<Inode>);

impl MemControl {
    pub(super) fn new(inode: Arc<Inode>) -> Self {
        MemControl(inode)
    }

    /// The file.
    pub(super) fn inode(&self) -> &Arc<Inode> {
        &self.0
    }

    /// `other` as a file of the same file system; `EXDEV` if it is another's.
    fn neighbour<'a>(&self, other: &'a dyn ControlFile) -> Result<&'a Arc<Inode>> {
        let other: &MemControl = other.downcast()?;
        if Arc::ptr_eq(self.0.fs(), other.0.fs()) { Ok(&other.0) } else { Err(Error::XDEV) }
    }
}

/// A file that was walked to or made.
pub(super) fn found(inode: Arc<Inode>) -> Found {
    let stat = inode.stat();
    Found::new(MemControl(inode), stat)
}

/// The entry `name` of `dir`.
fn child(dir: &Inode, name: Name<'_>) -> Result<Arc<Inode>> {
    let key = dir.fs().key(name)?;
    dir.read().dir()?.get(&key).cloned().ok_or(Error::NOENT)
}

impl ControlFile for MemControl {
    fn stat(&self) -> Result<Statx> {
        Ok(self.0.stat())
    }

    fn walk(&self, name: Name<'_>) -> Result<Found> {
        child(&self.0, name).map(found)
    }

    fn walk_stat(&self, path: &mut dyn Iterator<Item = Name<'_>>, visit: &mut dyn FnMut(Statx)) -> Result<()> {
        let mut at = self.0.clone();
        for name in path {
            match child(&at, name) {
                Ok(next) => at = next,
                Err(error) if error == Errno::NOENT => return Ok(()),
                Err(error) => return Err(error),
            }
            visit(at.stat());
            if at.is(FileType::Symlink) {
                return Ok(());
            }
        }
        Ok(())
    }

    fn open(&self, how: OpenHow) -> Result<Opened> {
        super::open::open(&self.0, how)
    }

    fn set_stat(&self, change: &SetStat) -> std::result::Result<(), SetStatFailure> {
        attributes::apply(&self.0, change)
    }

    fn create(&self, name: Name<'_>, new: &NewFile, _: Access) -> Result<Created> {
        self.create_file(name, new)
    }

    fn mkdir(&self, name: Name<'_>, new: &NewFile) -> Result<Found> {
        self.make_dir(name, new)
    }

    fn mknod(&self, name: Name<'_>, new: &NewFile, file_type: FileType, device: (u32, u32)) -> Result<Found> {
        self.make_node(name, new, file_type, device)
    }

    fn symlink(&self, name: Name<'_>, target: &[u8], new: &NewFile) -> Result<Found> {
        self.make_symlink(name, target, new)
    }

    fn link(&self, name: Name<'_>, target: &dyn ControlFile) -> Result<Found> {
        self.make_link(name, self.neighbour(target)?)
    }

    fn unlink(&self, name: Name<'_>, what: Unlink) -> Result<()> {
        self.remove(name, what)
    }

    fn rename(&self, name: Name<'_>, new_dir: &dyn ControlFile, new_name: Name<'_>, flags: RenameFlags) -> Result<()> {
        let new_dir = self.neighbour(new_dir)?;
        super::rename::rename((&self.0, name), (new_dir, new_name), flags)
    }

    fn read_link(&self) -> Result<Vec<u8>> {
        let state = self.0.read();
        let Body::Symlink(target) = &state.body else { return Err(Error::INVAL) };
        let target = target.to_vec();
        self.0.accessed(state);
        Ok(target)
    }

    fn stat_fs(&self) -> Result<StatFs> {
        Ok(self.0.fs().space.stat_fs())
    }

    fn get_xattr(&self, name: &[u8]) -> Result<Vec<u8>> {
        self.xattr(name)
    }

    fn set_xattr(&self, name: &[u8], value: &[u8], flags: XattrFlags) -> Result<()> {
        self.put_xattr(name, value, flags)
    }

    fn list_xattr(&self) -> Result<Vec<Vec<u8>>> {
        Ok(self.xattr_names())
    }

    fn remove_xattr(&self, name: &[u8]) -> Result<()> {
        self.drop_xattr(name)
    }
}
