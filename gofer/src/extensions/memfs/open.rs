//! Opening files, and what was opened.

use std::sync::Arc;

use super::inode::Inode;
use super::time::Time;
use lisafs::backend::{
    Access, AllocateFlags, DirEntry, DirSink, Error, FileType, IoSource, IoTarget, OpenFile, OpenHow, Opened, Result,
    SeekTo, Statx,
};

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
            return Err(Error::ISDIR);
        }
        Ok(Opened::new(MemDir { inode: inode.clone(), no_atime: how.no_atime }))
    } else if inode.is(FileType::Symlink) {
        Err(Error::LOOP)
    } else if inode.is(FileType::Socket) {
        Err(Error::NXIO)
    } else {
        // For a FIFO ENXIO would say: try again, there is no reader yet.
        Err(Error::PERM)
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

    // It lives no longer than this process.
    fn sync(&self) -> Result<()> {
        Ok(())
    }

    fn allocate(&self, flags: AllocateFlags, offset: u64, length: u64) -> Result<()> {
        let mut state = self.inode.write();
        state.content_mut()?.allocate(flags, offset, length, self.inode.fs())?;
        state.modified(Time::now());
        Ok(())
    }

    fn seek(&self, offset: u64, what: SeekTo) -> Result<u64> {
        self.inode.read().content()?.seek(offset, what)
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

    // It lives no longer than this process.
    fn sync(&self) -> Result<()> {
        Ok(())
    }

    fn read_dir(&self, from: u64, sink: &mut dyn DirSink) -> Result<()> {
        let state = self.inode.read();
        let device = self.inode.fs().device;
        for (position, entry) in state.dir()?.entries_from(from) {
            let (ino, file_type) = (entry.inode.ino(), entry.inode.file_type());
            let entry = DirEntry::new(&entry.name, ino, file_type, position + 1).on_device(0, device);
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
