//! Making files and links.

use std::sync::Arc;

use super::Shared;
use super::content::Content;
use super::control::{MemControl, found};
use super::dir::Dir;
use super::inode::{Body, Inode, State};
use super::open::MemFile;
use super::time::Time;
use lisafs::backend::{Created, Error, FileType, Found, Mode, Name, NewFile, Opened, Result};

/// Bytes of the longest target, with a NUL less than the kernel's longest path.
const MAX_TARGET: usize = 4095;

impl MemControl {
    /// Creates a regular file and opens it.
    pub(super) fn create_file(&self, name: Name<'_>, new: &NewFile) -> Result<Created> {
        let body = Body::Regular(Content::default());
        let inode = self.add(name, |parent| Inode::new(parent, self.fs(), FileType::Regular, new, body))?;
        Ok(Created::new(found(inode.clone()), Opened::new(MemFile::new(inode))))
    }

    /// Makes a directory.
    pub(super) fn make_dir(&self, name: Name<'_>, new: &NewFile) -> Result<Found> {
        let body = Body::Directory(Box::new(Dir::new(Arc::downgrade(self.inode()))));
        self.add(name, |parent| {
            let inode = Inode::new(parent, self.fs(), FileType::Directory, new, body)?;
            parent.nlink += 1;
            Ok(inode)
        })
        .map(found)
    }

    /// Makes a regular or special file.
    pub(super) fn make_node(&self, name: Name<'_>, new: &NewFile, kind: FileType, device: (u32, u32)) -> Result<Found> {
        // An overlay marks names that are removed with it.
        let is_whiteout = kind == FileType::CharDevice && device == (0, 0);
        let body = match kind {
            FileType::Regular => Body::Regular(Content::default()),
            FileType::Directory | FileType::Symlink => return Err(Error::INVAL),
            _ if !self.fs().options.special && !is_whiteout => return Err(Error::PERM),
            FileType::CharDevice | FileType::BlockDevice => Body::Device { major: device.0, minor: device.1 },
            FileType::Fifo | FileType::Socket => Body::Special,
        };
        self.add(name, |parent| Inode::new(parent, self.fs(), kind, new, body)).map(found)
    }

    /// Makes a symbolic link.
    pub(super) fn make_symlink(&self, name: Name<'_>, target: &[u8], new: &NewFile) -> Result<Found> {
        if target.len() > MAX_TARGET {
            return Err(Error::NAMETOOLONG);
        }
        let fs = self.fs();
        let new = NewFile::new(Mode::new(0o777), new.uid, new.gid);
        self.add(name, |parent| {
            let bytes = target.len() as u64;
            fs.space.take(bytes)?;
            Inode::new(parent, fs, FileType::Symlink, &new, Body::Symlink(target.into()))
                .inspect_err(|_| fs.space.give(bytes))
        })
        .map(found)
    }

    /// Makes a hard link to `target`.
    pub(super) fn make_link(&self, name: Name<'_>, target: &Arc<Inode>) -> Result<Found> {
        if target.is(FileType::Directory) {
            return Err(Error::PERM);
        }
        self.add(name, |_| {
            let mut state = target.write();
            // A file whose last name is gone does not come back.
            if state.nlink == 0 {
                return Err(Error::NOENT);
            }
            let nlink = state.nlink.checked_add(1).ok_or(Error::MLINK)?;
            target.fs().space.take_name()?;
            state.nlink = nlink;
            state.ctime = Time::now();
            Ok(target.clone())
        })
        .map(found)
    }

    /// Gives the file that `make` makes a name in this directory. `make` comes last of all that can fail.
    fn add(&self, name: Name<'_>, make: impl FnOnce(&mut State) -> Result<Arc<Inode>>) -> Result<Arc<Inode>> {
        let key = self.fs().key(name)?;
        let mut state = self.inode().write();
        let dir = state.dir()?;
        if dir.get(&key).is_some() {
            return Err(Error::EXIST);
        }
        let position = dir.free_position(&key)?;
        let inode = make(&mut state)?;
        state.dir_mut()?.insert(position, &key, inode.clone());
        state.modified(Time::now());
        Ok(inode)
    }

    fn fs(&self) -> &Arc<Shared> {
        self.inode().fs()
    }
}
