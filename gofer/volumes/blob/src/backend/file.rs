//! Open files and directories.

use std::sync::Arc;

use lisafs::backend::{
    AllocateFlags, DirEntry, DirSink, Error, FileType, IoSource, IoTarget, OpenFile, Result, SeekTo, Statx,
};
use parking_lot::Mutex;

use super::File;
use crate::ahead::Ahead;
use crate::data::MAX_SIZE;
use crate::list::Rest;

/// An open regular file.
pub(super) struct BlobFile {
    file: File,
    /// Whether reading leaves the time of access.
    no_atime: bool,
    ahead: Ahead,
}

impl BlobFile {
    pub(super) fn new(file: File, no_atime: bool) -> Self {
        BlobFile { ahead: Ahead::new(file.volume()), file, no_atime }
    }
}

impl OpenFile for BlobFile {
    fn stat(&self) -> Result<Statx> {
        self.file.stat()
    }

    fn read_at(&self, into: IoTarget<'_>, offset: u64) -> Result<usize> {
        let volume = self.file.volume();
        volume.refresh(&self.file.node)?;
        let size = self.file.node.lock().inode.size;
        let wanted = (into.len() as u64).min(size.saturating_sub(offset));
        self.ahead.read(volume, &self.file.node, (offset, wanted), size);
        let count = volume.read(&self.file.node, into, offset)?;
        if !self.no_atime {
            self.file.accessed();
        }
        Ok(count)
    }

    fn write_at(&self, from: IoSource<'_>, offset: u64) -> Result<usize> {
        let count = self.file.volume().write(&self.file.node, from, offset)?;
        self.file.acknowledge()?;
        Ok(count)
    }

    fn sync(&self) -> Result<()> {
        Ok(self.file.volume().sync()?)
    }

    fn allocate(&self, flags: AllocateFlags, offset: u64, length: u64) -> Result<()> {
        let (keep, punch, zero) = (AllocateFlags::KEEP_SIZE, AllocateFlags::PUNCH_HOLE, AllocateFlags::ZERO_RANGE);
        if length == 0 {
            return Err(Error::INVAL);
        }
        let end = offset.checked_add(length).filter(|end| *end <= MAX_SIZE).ok_or(Error::FBIG)?;
        let (volume, node): (_, &Arc<_>) = (self.file.volume(), &self.file.node);
        // A store has no room that could be set aside, and does not run out of it.
        match flags {
            _ if flags.is_empty() => volume.grow(node, end)?,
            _ if flags == keep => {}
            _ if flags == punch | keep || flags == zero | keep => volume.punch(node, offset..end)?,
            _ if flags == zero => {
                volume.punch(node, offset..end)?;
                volume.grow(node, end)?;
            }
            _ => return Err(Error::OPNOTSUPP),
        }
        self.file.acknowledge()
    }

    fn seek(&self, offset: u64, what: SeekTo) -> Result<u64> {
        Ok(self.file.volume().seek(&self.file.node, offset, what)?)
    }
}

/// An open directory.
pub(super) struct BlobDir {
    file: File,
    /// Whether listing leaves the time of access.
    no_atime: bool,
    /// What the last answer had no room for.
    rest: Mutex<Rest>,
}

impl BlobDir {
    pub(super) fn new(file: File, no_atime: bool) -> Self {
        BlobDir { file, no_atime, rest: Mutex::default() }
    }
}

impl OpenFile for BlobDir {
    fn stat(&self) -> Result<Statx> {
        self.file.stat()
    }

    fn sync(&self) -> Result<()> {
        Ok(self.file.volume().sync()?)
    }

    fn read_dir(&self, from: u64, sink: &mut dyn DirSink) -> Result<()> {
        let volume = self.file.volume();
        // Taken, so that others do not wait while the store is asked.
        let mut rest = std::mem::take(&mut *self.rest.lock());
        volume.list(&self.file.node, from, &mut rest, |entry, next| {
            let file_type = FileType::from_mode(entry.kind.into());
            sink.add(&DirEntry::new(&entry.name, entry.ino, file_type, next).on_device(0, volume.device))
        })?;
        *self.rest.lock() = rest;
        if !self.no_atime {
            self.file.accessed();
        }
        Ok(())
    }
}
