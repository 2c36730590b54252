//! Making files and directories.

use std::sync::Arc;

use lisafs::backend::{
    Access, ControlFile, Created, Errno, Found, Mode, NO_ID, Name, NewFile, Opened, Result, SetStat, Unlink,
};

use super::control::Control;
use super::file::CryptFile;
use super::internal;
use super::long::named_locked;
use super::node::Node;
use crate::format::{DIR_IV, DirIv};

impl Control {
    /// Creates a regular file and opens it. It is empty, and has no header until it is not.
    pub(super) fn create_file(&self, name: Name<'_>, new: &NewFile) -> Result<Created> {
        let stored = self.node.stored(&self.volume, name)?;
        let owner = (new.uid, new.gid);
        let created = self.named(&stored, owner, |entry| self.node.inner.create(entry, new, Access::ReadWrite))?;
        let stat = self.volume.plain_file(created.found.stat);
        let node = Arc::new(Node::new(created.found));
        let file = CryptFile {
            volume: self.volume.clone(),
            node: node.clone(),
            inode: self.volume.inodes.get(node.identity),
            inner: created.opened.file,
        };
        let found = Found::new(Control { volume: self.volume.clone(), node }, stat);
        Ok(Created::new(found, Opened::new(file)))
    }

    /// Makes anything else that has nothing in it.
    pub(super) fn make(
        &self,
        name: Name<'_>,
        new: &NewFile,
        make: impl FnOnce(Name<'_>) -> Result<Found>,
    ) -> Result<Found> {
        let stored = self.node.stored(&self.volume, name)?;
        self.found(self.named(&stored, (new.uid, new.gid), make)?)
    }

    pub(super) fn make_link(&self, name: Name<'_>, target: &Node) -> Result<Found> {
        let stored = self.node.stored(&self.volume, name)?;
        self.found(self.named(&stored, (NO_ID, NO_ID), |entry| self.node.inner.link(entry, &*target.inner))?)
    }

    /// Makes a directory, which has its initialization vector before anybody can look for that.
    pub(super) fn make_dir(&self, name: Name<'_>, new: &NewFile) -> Result<Found> {
        let stored = self.node.stored(&self.volume, name)?;
        if !self.volume.keys.names.have_dir_ivs() {
            return self.found(self.named(&stored, (new.uid, new.gid), |entry| self.node.inner.mkdir(entry, new))?);
        }
        let _names = self.volume.names.write();
        let iv = DirIv::random();
        let found = named_locked(&self.node, &stored, (new.uid, new.gid), |entry| {
            let mut found = self.node.inner.mkdir(entry, new)?;
            let made = initialize(&*found.file, &iv, found.stat.mode, (new.uid, new.gid));
            // The times and the size are new.
            match made.and_then(|()| found.file.stat()) {
                Ok(stat) => found.stat = stat,
                Err(error) => {
                    // The caller gets the first error.
                    if let Ok(file) = Name::new(DIR_IV) {
                        let _ = found.file.unlink(file, Unlink::File);
                    }
                    let _ = self.node.inner.unlink(entry, Unlink::Directory);
                    return Err(error);
                }
            }
            Ok(found)
        })?;
        self.volume.found(found, |found| Node::with_iv(found, Some(iv)))
    }
}

/// Puts the initialization vector into a new directory.
pub(super) fn initialize(dir: &dyn ControlFile, iv: &DirIv, mode: u16, owner: (u32, u32)) -> Result<()> {
    const OWNER: u16 = 0o700;
    let create = || internal::create(dir, DIR_IV, iv.as_bytes(), owner);
    match create() {
        // Without privileges the mode counts, even for who has just made it.
        Err(error) if error == Errno::ACCESS && mode & OWNER != OWNER => {
            let set = |mode| dir.set_stat(&SetStat::new().mode(Mode::new(mode))).map_err(|failure| failure.error);
            set(mode | OWNER)?;
            create()?;
            set(mode)
        }
        made => made,
    }
}
