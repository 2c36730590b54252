//! Files: what a name leads to.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::Shared;
use super::content::Content;
use super::dir::Dir;
use super::time::Time;
use super::xattr::{Inherited, Xattrs};
use lisafs::backend::{Error, FileType, Mode, NO_ID, NewFile, Result, Statx, StatxMask};

/// A file of any type. Lives as long as a name, a control file or an open file refers to it.
pub(super) struct Inode {
    id: Id,
    fs: Arc<Shared>,
    state: RwLock<State>,
}

/// Inode number and type in one: the type is needed often, and never changes.
#[derive(Clone, Copy)]
struct Id(u64);

/// What changes of a file. The locking order is in [the module's documentation](super).
pub(super) struct State {
    /// Permission bits.
    pub(super) mode: u16,
    /// Names, or what comes in their place for a directory: 2 and one for each directory in it. Zero once it is
    /// removed.
    pub(super) nlink: u32,
    pub(super) owner: Owner,
    pub(super) atime: Time,
    pub(super) mtime: Time,
    pub(super) ctime: Time,
    btime: Time,
    pub(super) xattrs: Xattrs,
    pub(super) body: Body,
}

/// Who a file belongs to.
#[derive(Clone, Copy)]
pub(super) struct Owner {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

/// What a file has by its type.
pub(super) enum Body {
    Regular(Content),
    Directory(Box<Dir>),
    Symlink(Box<[u8]>),
    Device {
        major: u32,
        minor: u32,
    },
    /// A FIFO or socket.
    Special,
}

impl Id {
    /// Bits of the number. The type is above.
    const NUMBER: u64 = (1 << 60) - 1;

    fn new(ino: u64, kind: FileType) -> Self {
        Id(u64::from(kind.dirent_type()) << 60 | ino & Self::NUMBER)
    }

    fn ino(self) -> u64 {
        self.0 & Self::NUMBER
    }

    fn file_type(self) -> FileType {
        let mode = u32::try_from(self.0 >> 60).unwrap_or_default() << 12;
        FileType::from_mode(mode).unwrap_or(FileType::Regular)
    }
}

/// Bytes that an entry adds to the size of its directory.
const ENTRY_SIZE: u64 = 32;

impl Inode {
    /// The root of a new file system.
    pub(super) fn root(fs: &Arc<Shared>, new: &NewFile) -> Arc<Self> {
        fs.space.take_root_name();
        Self::make(fs, FileType::Directory, new, Body::Directory(Box::new(Dir::new(Weak::new()))))
    }

    /// A new file for directory `parent` that has no name yet; `ENOSPC` if there may be no more. The caller has taken
    /// the space of what is in `body` if that succeeds.
    pub(super) fn new(
        parent: &State,
        fs: &Arc<Shared>,
        kind: FileType,
        new: &NewFile,
        body: Body,
    ) -> Result<Arc<Self>> {
        fs.space.take_name()?;
        let inode = Self::make(fs, kind, new, body);
        Inherited::from(parent, kind, new).give(&inode)?;
        Ok(inode)
    }

    /// A new whiteout of an overlay, which has no name yet; `ENOSPC` if there may be no more files.
    pub(super) fn whiteout(fs: &Arc<Shared>) -> Result<Arc<Self>> {
        fs.space.take_name()?;
        let own = NewFile::new(Mode::new(0), NO_ID, NO_ID);
        Ok(Self::make(fs, FileType::CharDevice, &own, Body::Device { major: 0, minor: 0 }))
    }

    fn make(fs: &Arc<Shared>, kind: FileType, new: &NewFile, body: Body) -> Arc<Self> {
        let now = Time::now();
        let state = State {
            mode: new.mode.bits(),
            nlink: if kind == FileType::Directory { 2 } else { 1 },
            owner: fs.owner(new),
            atime: now,
            mtime: now,
            ctime: now,
            btime: now,
            xattrs: Xattrs::default(),
            body,
        };
        let ino = fs.next_ino.fetch_add(1, Ordering::Relaxed);
        Arc::new(Inode { id: Id::new(ino, kind), fs: fs.clone(), state: RwLock::new(state) })
    }

    /// Its number, which no other file ever has.
    pub(super) fn ino(&self) -> u64 {
        self.id.ino()
    }

    pub(super) fn file_type(&self) -> FileType {
        self.id.file_type()
    }

    /// Whether it is of this type.
    pub(super) fn is(&self, kind: FileType) -> bool {
        self.id.file_type() == kind
    }

    /// The file system that it is in.
    pub(super) fn fs(&self) -> &Arc<Shared> {
        &self.fs
    }

    /// Looks at it. See the locking order.
    pub(super) fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read()
    }

    /// Changes it. See the locking order.
    pub(super) fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write()
    }

    /// Attributes, as they are now.
    pub(super) fn stat(&self) -> Statx {
        let state = self.read();
        let (size, held) = match &state.body {
            Body::Regular(content) => (content.size(), content.held()),
            Body::Directory(dir) => (dir.len() as u64 * ENTRY_SIZE, 0),
            Body::Symlink(target) => (target.len() as u64, target.len() as u64),
            Body::Device { .. } | Body::Special => (0, 0),
        };
        let (rdev_major, rdev_minor) = match state.body {
            Body::Device { major, minor } => (major, minor),
            _ => (0, 0),
        };
        Statx {
            mask: StatxMask::BASIC_STATS | StatxMask::BTIME,
            blksize: 4096,
            nlink: state.nlink,
            uid: state.owner.uid,
            gid: state.owner.gid,
            mode: self.id.file_type().bits() | state.mode,
            ino: self.ino(),
            size,
            blocks: held.div_ceil(512),
            atime: state.atime.into(),
            btime: state.btime.into(),
            ctime: state.ctime.into(),
            mtime: state.mtime.into(),
            rdev_major,
            rdev_minor,
            dev_minor: self.fs.device,
            ..Statx::default()
        }
    }

    /// Records that the content was read, which was last seen as `state` says.
    pub(super) fn accessed(&self, state: RwLockReadGuard<'_, State>) {
        let now = Time::now();
        let due = state.access_is_due(now);
        drop(state);
        if due {
            let mut state = self.write();
            if state.access_is_due(now) {
                state.atime = now;
            }
        }
    }
}

impl State {
    /// The entries; `ENOTDIR` if this is no directory, `ENOENT` if it is removed: nothing is in it, and nothing will
    /// be.
    pub(super) fn dir(&self) -> Result<&Dir> {
        match &self.body {
            Body::Directory(_) if self.nlink == 0 => Err(Error::NOENT),
            Body::Directory(dir) => Ok(dir),
            _ => Err(Error::NOTDIR),
        }
    }

    /// The same, to change them.
    pub(super) fn dir_mut(&mut self) -> Result<&mut Dir> {
        match &mut self.body {
            Body::Directory(_) if self.nlink == 0 => Err(Error::NOENT),
            Body::Directory(dir) => Ok(dir),
            _ => Err(Error::NOTDIR),
        }
    }

    /// The content, if this is a regular file.
    pub(super) fn content(&self) -> Result<&Content> {
        match &self.body {
            Body::Regular(content) => Ok(content),
            Body::Directory(_) => Err(Error::ISDIR),
            _ => Err(Error::INVAL),
        }
    }

    /// The same, to change it.
    pub(super) fn content_mut(&mut self) -> Result<&mut Content> {
        match &mut self.body {
            Body::Regular(content) => Ok(content),
            Body::Directory(_) => Err(Error::ISDIR),
            _ => Err(Error::INVAL),
        }
    }

    /// Records that the content was changed.
    pub(super) fn modified(&mut self, now: Time) {
        self.mtime = now;
        self.ctime = now;
    }

    /// Whether reading now is to be recorded. Not each time: most readings would change nothing else.
    fn access_is_due(&self, now: Time) -> bool {
        self.atime <= self.mtime || self.atime <= self.ctime || self.atime.is_a_day_before(now)
    }

    /// Gives back what the file holds.
    fn release(&mut self, fs: &Shared) {
        match &mut self.body {
            Body::Regular(content) => content.clear(fs),
            Body::Symlink(target) => fs.space.give(target.len() as u64),
            _ => {}
        }
        fs.space.give(self.xattrs.held());
    }
}

impl Drop for Inode {
    fn drop(&mut self) {
        let Inode { fs, state, .. } = self;
        let state = state.get_mut();
        state.release(fs);
        fs.space.give_name();
        // What is in a directory goes with it, when the file system goes. One after the other: a tree can be so deep
        // that a directory which drops its directories would exhaust the stack.
        let Body::Directory(dir) = &mut state.body else { return };
        let mut orphans: Vec<Arc<Inode>> = dir.take_all().collect();
        while let Some(orphan) = orphans.pop() {
            if let Some(mut orphan) = Arc::into_inner(orphan)
                && let Body::Directory(dir) = &mut orphan.state.get_mut().body
            {
                orphans.extend(dir.take_all());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_small() {
        assert!(size_of::<Inode>() <= 136, "{}", size_of::<Inode>());
    }

    #[test]
    fn types_and_modes_are_told_apart() {
        assert_eq!(FileType::from_mode(0o140_755), Some(FileType::Socket));
        assert_eq!(FileType::from_mode(0o755), None);
        let id = Id::new(77, FileType::Socket);
        assert_eq!((id.ino(), id.file_type()), (77, FileType::Socket));
    }
}
