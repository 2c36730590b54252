//! Positions in the tree. A control file is a file and not a name: a file does not know what it is called.

use std::sync::Arc;

use lisafs::backend::{
    Access, ControlFile, Created, Error, FileType, Found, NO_ID, Name, NewFile, OpenHow, Opened, RenameFlags, Result,
    SetStat, SetStatFailure, StatFs, Statx, Unlink, XattrFlags,
};

use super::file::{BlobDir, BlobFile};
use super::{File, attributes, found};
use crate::Errno;
use crate::names::{Existing, MAX_NAME};
use crate::node::Node;
use crate::record::{Inode, S_IFDIR, S_IFLNK, S_IFMT, S_IFREG};
use crate::volume::now;
use crate::xattr::Before;

/// Bytes of the longest target, with a NUL less than the kernel's longest path.
const MAX_TARGET: usize = 4095;

/// The bits of a mode that can be set.
const PERMISSIONS: u16 = 0o7777;

/// A file.
pub(super) struct Control(pub(super) File);

impl Control {
    /// `other` as a file of the same volume; `EXDEV` if it is another's.
    fn neighbour<'a>(&self, other: &'a dyn ControlFile) -> Result<&'a Arc<Node>> {
        let other: &Control = other.downcast()?;
        if Arc::ptr_eq(self.0.volume(), other.0.volume()) { Ok(&other.0.node) } else { Err(Error::XDEV) }
    }

    /// Makes a file.
    fn make(&self, name: Name<'_>, new: &NewFile, mode: u16, more: Inode) -> Result<File> {
        let own = |id: u32, own: u32| if id == NO_ID { own } else { id };
        let now = now();
        let inode = Inode {
            mode,
            uid: own(new.uid, rustix::process::geteuid().as_raw()),
            gid: own(new.gid, rustix::process::getegid().as_raw()),
            atime: now,
            mtime: now,
            ctime: now,
            btime: now,
            ..more
        };
        let node = self.0.volume().make(&self.0.node, name.as_bytes(), inode)?;
        self.0.acknowledge()?;
        Ok(self.0.other(node))
    }
}

/// A new file's mode.
fn mode(kind: u16, new: &NewFile) -> u16 {
    kind | new.mode.bits() & PERMISSIONS
}

impl ControlFile for Control {
    fn stat(&self) -> Result<Statx> {
        self.0.stat()
    }

    fn walk(&self, name: Name<'_>) -> Result<Found> {
        self.0.volume().refresh(&self.0.node)?;
        let node = self.0.volume().lookup(&self.0.node, name.as_bytes())?;
        found(self.0.other(node))
    }

    fn walk_stat(&self, path: &mut dyn Iterator<Item = Name<'_>>, visit: &mut dyn FnMut(Statx)) -> Result<()> {
        let mut at = self.0.clone();
        for name in path {
            match at.volume().lookup(&at.node, name.as_bytes()) {
                Ok(next) => at = at.other(next),
                Err(Errno::NOENT) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
            visit(at.stat()?);
            if at.node.lock().inode.is(S_IFLNK) {
                return Ok(());
            }
        }
        Ok(())
    }

    fn open(&self, how: OpenHow) -> Result<Opened> {
        self.0.volume().refresh(&self.0.node)?;
        let kind = self.0.node.lock().inode.mode & S_IFMT;
        match kind {
            S_IFREG => {
                if how.truncate {
                    self.0.volume().set_size(&self.0.node, 0)?;
                    self.0.acknowledge()?;
                }
                Ok(Opened::new(BlobFile::new(self.0.clone(), how.no_atime)))
            }
            S_IFDIR if how.access != Access::Read || how.truncate => Err(Error::ISDIR),
            S_IFDIR => Ok(Opened::new(BlobDir::new(self.0.clone(), how.no_atime))),
            S_IFLNK => Err(Error::LOOP),
            // Special files are opened by the client's own kernel.
            _ => Err(Error::PERM),
        }
    }

    fn set_stat(&self, change: &SetStat) -> std::result::Result<(), SetStatFailure> {
        attributes::apply(&self.0, change)?;
        self.0.acknowledge().map_err(|error| SetStatFailure::new(change.mask(), error))
    }

    fn create(&self, name: Name<'_>, new: &NewFile, _: Access) -> Result<Created> {
        let file = self.make(name, new, mode(S_IFREG, new), Inode::default())?;
        Ok(Created::new(found(file.clone())?, Opened::new(BlobFile::new(file, false))))
    }

    fn mkdir(&self, name: Name<'_>, new: &NewFile) -> Result<Found> {
        found(self.make(name, new, mode(S_IFDIR, new), Inode::default())?)
    }

    fn mknod(&self, name: Name<'_>, new: &NewFile, file_type: FileType, device: (u32, u32)) -> Result<Found> {
        if matches!(file_type, FileType::Directory | FileType::Symlink) {
            return Err(Error::INVAL);
        }
        let kind = file_type.bits();
        let is_device = matches!(file_type, FileType::CharDevice | FileType::BlockDevice);
        let device = if is_device { device } else { (0, 0) };
        found(self.make(name, new, mode(kind, new), Inode { device, ..Inode::default() })?)
    }

    fn symlink(&self, name: Name<'_>, target: &[u8], new: &NewFile) -> Result<Found> {
        if target.len() > MAX_TARGET {
            return Err(Error::NAMETOOLONG);
        }
        let size = target.len() as u64;
        let more = Inode { target: target.to_vec(), size, ..Inode::default() };
        found(self.make(name, new, S_IFLNK | 0o777, more)?)
    }

    fn link(&self, name: Name<'_>, target: &dyn ControlFile) -> Result<Found> {
        let target = self.neighbour(target)?;
        self.0.volume().link(&self.0.node, name.as_bytes(), target)?;
        self.0.acknowledge()?;
        found(self.0.other(target.clone()))
    }

    fn unlink(&self, name: Name<'_>, what: Unlink) -> Result<()> {
        self.0.volume().unlink(&self.0.node, name.as_bytes(), what == Unlink::Directory)?;
        self.0.acknowledge()
    }

    fn rename(&self, name: Name<'_>, new_dir: &dyn ControlFile, new_name: Name<'_>, flags: RenameFlags) -> Result<()> {
        let new_dir = self.neighbour(new_dir)?;
        let existing = match flags {
            RenameFlags::Replace => Existing::Replace,
            RenameFlags::NoReplace => Existing::Refuse,
            RenameFlags::Exchange => Existing::Exchange,
            _ => return Err(Error::INVAL),
        };
        self.0.volume().rename((&self.0.node, name.as_bytes()), (new_dir, new_name.as_bytes()), existing)?;
        self.0.acknowledge()
    }

    fn read_link(&self) -> Result<Vec<u8>> {
        let target = {
            let inode = &self.0.node.lock().inode;
            if !inode.is(S_IFLNK) {
                return Err(Error::INVAL);
            }
            inode.target.clone()
        };
        self.0.accessed();
        Ok(target)
    }

    fn stat_fs(&self) -> Result<StatFs> {
        /// As much as a store has room for: no limit that anybody meets.
        const BYTES: u64 = 1 << 50;
        const FILES: u64 = 1 << 40;
        const BLOCK: u64 = 4096;
        let state = self.0.volume().state();
        Ok(StatFs {
            kind: 0x626c_6f62,
            block_size: 4096,
            blocks: BYTES / BLOCK,
            blocks_free: BYTES.saturating_sub(state.bytes) / BLOCK,
            blocks_available: BYTES.saturating_sub(state.bytes) / BLOCK,
            files: FILES,
            files_free: FILES.saturating_sub(state.files),
            name_length: MAX_NAME as u64,
        })
    }

    fn get_xattr(&self, name: &[u8]) -> Result<Vec<u8>> {
        self.0.volume().refresh(&self.0.node)?;
        Ok(self.0.volume().xattr(&self.0.node, name)?)
    }

    fn set_xattr(&self, name: &[u8], value: &[u8], flags: XattrFlags) -> Result<()> {
        let before = match (flags.contains(XattrFlags::CREATE), flags.contains(XattrFlags::REPLACE)) {
            (false, false) => Before::Whatever,
            (true, false) => Before::Nothing,
            (false, true) => Before::Something,
            // It must be missing and present.
            (true, true) => return Err(self.get_xattr(name).map_or_else(|error| error, |_| Error::EXIST)),
        };
        self.0.volume().set_xattr(&self.0.node, name, value, before)?;
        self.0.acknowledge()
    }

    fn list_xattr(&self) -> Result<Vec<Vec<u8>>> {
        self.0.volume().refresh(&self.0.node)?;
        Ok(self.0.volume().xattr_names(&self.0.node)?)
    }

    fn remove_xattr(&self, name: &[u8]) -> Result<()> {
        self.0.volume().remove_xattr(&self.0.node, name)?;
        self.0.acknowledge()
    }
}
