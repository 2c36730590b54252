//! Removing files and directories.

use arrayvec::ArrayVec;
use lisafs::backend::{
    Access, ControlFile, DirEntry, DirSink, Errno, Error, FileType, Found, Mode, Name, OpenHow, RenameFlags, Result,
    SetStat, Unlink,
};

use super::Volume;
use super::control::Control;
use super::long::forget;
use super::node::{Node, entry};
use crate::format::{DIR_IV, DIR_IV_GONE, Entry, MAX_NAME, Names, Stored};

impl Control {
    /// Removes a name of anything but a directory.
    pub(super) fn remove_file(&self, name: Name<'_>) -> Result<()> {
        let stored = self.node.stored(&self.volume, name)?;
        let Stored::Long { content, .. } = &stored else {
            return self.node.inner.unlink(entry(&stored)?, Unlink::File);
        };
        let _names = self.volume.names.write();
        self.node.inner.unlink(entry(&stored)?, Unlink::File)?;
        forget(&*self.node.inner, content);
        Ok(())
    }

    /// Removes an empty directory.
    pub(super) fn remove_dir(&self, name: Name<'_>) -> Result<()> {
        let stored = self.node.stored(&self.volume, name)?;
        if self.volume.keys.has_plain_names() {
            return self.node.inner.unlink(entry(&stored)?, Unlink::Directory);
        }
        let _names = self.volume.names.write();
        remove_dir_locked(&self.volume, &self.node, &stored)
    }
}

/// Removes the empty directory `stored` from `dir`, with [`Volume::names`] held for writing.
pub(super) fn remove_dir_locked(volume: &Volume, dir: &Node, stored: &Stored) -> Result<()> {
    let found = dir.inner.walk(entry(stored)?)?;
    if found.stat.file_type() != Some(FileType::Directory) {
        return Err(Error::NOTDIR);
    }
    reaching(&found, || remove_child(volume, dir, stored, &*found.file))
}

/// Does `work` in a directory that is to be removed or replaced. Without privileges its mode counts, which does not
/// matter to who removes one that is empty: then the owner may do everything in it until that is over.
fn reaching<T>(found: &Found, work: impl Fn() -> Result<T>) -> Result<T> {
    const OWNER: u16 = 0o700;
    let mode = found.stat.mode;
    match work() {
        Err(error) if error == Errno::ACCESS && mode & OWNER != OWNER => {
            let set = |mode| found.file.set_stat(&SetStat::new().mode(Mode::new(mode)));
            if set(mode | OWNER).is_err() {
                return Err(error);
            }
            let done = work();
            if set(mode).is_err() && done.is_err() {
                tracing::warn!("the directory with inode number {} keeps another mode", found.stat.ino);
            }
            done
        }
        done => done,
    }
}

fn remove_child(volume: &Volume, dir: &Node, stored: &Stored, child: &dyn ControlFile) -> Result<()> {
    let rest = Rest::of(child, &volume.keys.names)?;
    for file in rest.files {
        child.unlink(Name::new(&file)?, Unlink::File)?;
    }
    let remove = || dir.inner.unlink(entry(stored)?, Unlink::Directory);
    if rest.has_iv {
        // Elsewhere, so that it can be brought back if the directory turns out not to be empty, or not to be removable.
        let gone = temporary_name();
        let (gone, iv) = (Name::new(&gone)?, Name::new(DIR_IV)?);
        child.rename(iv, &*dir.inner, gone, RenameFlags::Replace)?;
        if let Err(error) = remove() {
            if let Err(error) = dir.inner.rename(gone, child, iv, RenameFlags::Replace) {
                tracing::error!(%error, "{gone:?} belongs to a directory beside it, as gocryptfs.diriv");
            }
            return Err(error);
        }
        if let Err(error) = dir.inner.unlink(gone, Unlink::File) {
            // It is in nobody's way.
            tracing::debug!(%error, "{gone:?} stays");
        }
    } else {
        remove()?;
    }
    if let Stored::Long { content, .. } = stored {
        forget(&*dir.inner, content);
    }
    Ok(())
}

/// `ENOTEMPTY` unless the directory `stored` of `dir` is empty but for files of the format.
pub(super) fn check_empty(volume: &Volume, dir: &Node, stored: &Stored) -> Result<()> {
    let found = dir.inner.walk(entry(stored)?)?;
    reaching(&found, || Rest::of(&*found.file, &volume.keys.names)).map(drop)
}

/// What the initialization vector is called while its directory is removed.
fn temporary_name() -> Vec<u8> {
    let number = u64::from_ne_bytes(crate::format::random_bytes());
    [DIR_IV_GONE, number.to_string().as_bytes()].concat()
}

/// What is in a directory that has no file, as a client sees it.
struct Rest {
    has_iv: bool,
    /// Files that belong to nothing: names of files that are gone, initialization vectors of directories that are gone.
    files: Vec<ArrayVec<u8, MAX_NAME>>,
}

impl Rest {
    /// `ENOTEMPTY` if there is a file.
    fn of(dir: &dyn ControlFile, names: &Names) -> Result<Self> {
        let list = dir.open(OpenHow::new(Access::Read).no_atime(true))?.file;
        let mut look = Look { names, rest: Rest { has_iv: false, files: Vec::new() }, is_empty: true, next: 0 };
        loop {
            let from = look.next;
            list.read_dir(from, &mut look)?;
            if !look.is_empty {
                return Err(Error::NOTEMPTY);
            }
            if look.next == from {
                return Ok(look.rest);
            }
        }
    }
}

struct Look<'a> {
    names: &'a Names,
    rest: Rest,
    is_empty: bool,
    next: u64,
}

impl DirSink for Look<'_> {
    fn add(&mut self, found: &DirEntry<'_>) -> bool {
        if matches!(found.name, b"." | b"..") {
            self.next = found.next;
            return true;
        }
        match self.names.classify(found.name) {
            Entry::Name(_) | Entry::Long(_) => {
                self.is_empty = false;
                return false;
            }
            Entry::DirIv if found.name == DIR_IV => self.rest.has_iv = true,
            Entry::DirIv | Entry::LongName(_) => self.rest.files.extend(ArrayVec::try_from(found.name)),
        }
        self.next = found.next;
        true
    }
}
