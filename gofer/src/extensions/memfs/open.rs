//! Opening files, and what was opened.

use std::sync::Arc;

use super::inode::{FileType, Inode};
use super::time::Time;
use lisafs::backend::{Access, DirEntry, DirSink, Errno, IoSource, IoTarget, OpenFile, OpenHow, Opened, Result, Statx};

/// Opens `inode`.
pub(super) fn open(inode: &Arc<Inode>, how: OpenHow) -> Result<Opened> {
    if inode.is(FileType::Regular) {
        if how.truncate {
            let mut state = inode.write();
            state.content_mut()?.set_size(0, inode.fs())?;
            state.modified(Time::now());
        }
        Ok(Opened::new(MemFile { inode: inode.clone(), no_atime: how.no_atime }))
    } else if inode.is(FileType::Directory) {
        if how.access != Access::Read || how.truncate {
            return Err(Errno::ISDIR);
        }
        Ok(Opened::new(MemDir { inode: inode.clone(), no_atime: how.no_atime }))
    } else if inode.is(FileType::Symlink) {
        Err(Errno::LOOP)
    } else if inode.is(FileType::Socket) {
        Err(Errno::NXIO)
    } else {
        // For a FIFO ENXIO would say: try again, there is no reader yet.
        Err(Errno::PERM)
    }
}

/// An open regular file.
pub(super) struct MemFile {
    inode: Arc<Inode>,
    /// Whether reading leaves the time of access.
    no_atime: bool,
}

impl MemFile {
    pub(super) fn new(inode: Arc<Inode>) -> Self {
        MemFile { inode, no_atime: false }
    }
}

impl OpenFile for MemFile {
    fn stat(&self) -> Result<Statx> {
        Ok(self.inode.stat())
    }

    fn read_at(&self, into: IoTarget<'_>, offset: u64) -> Result<usize> {
        let state = self.inode.read();
        let count = state.content()?.read_at(into, offset, self.inode.fs())?;
        if !self.no_atime {
            self.inode.accessed(state);
        }
        Ok(count)
    }

    fn write_at(&self, from: IoSource<'_>, offset: u64) -> Result<usize> {
        let mut state = self.inode.write();
        let count = state.content_mut()?.write_at(from, offset, self.inode.fs())?;
        if count > 0 {
            state.modified(Time::now());
        }
        Ok(count)
    }

    fn allocate(&self, mode: u32, offset: u64, length: u64) -> Result<()> {
        let mut state = self.inode.write();
        state.content_mut()?.allocate(mode, offset, length, self.inode.fs())?;
        state.modified(Time::now());
        Ok(())
    }
}

/// An open directory.
struct MemDir {
    inode: Arc<Inode>,
    /// Whether reading leaves the time of access.
    no_atime: bool,
}

impl OpenFile for MemDir {
    fn stat(&self) -> Result<Statx> {
        Ok(self.inode.stat())
    }

    fn read_dir(&self, from: u64, sink: &mut dyn DirSink) -> Result<()> {
        let state = self.inode.read();
        let dev = (0, self.inode.fs().device);
        for (position, entry) in state.dir()?.entries_from(from) {
            let entry = DirEntry {
                name: &entry.name,
                ino: entry.inode.ino(),
                dev,
                file_type: entry.inode.file_type(),
                next: position + 1,
            };
            if !sink.add(&entry) {
                break;
            }
        }
        if !self.no_atime {
            self.inode.accessed(state);
        }
        Ok(())
    }
}
