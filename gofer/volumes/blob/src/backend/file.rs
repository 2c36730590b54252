//! Open files and directories.

use std::sync::Arc;

use lisafs::backend::{
    AllocateFlags, DirEntry, DirSink, Error, FileType, IoSource, IoTarget, OpenFile, Result, SeekTo, Statx,
};
use parking_lot::Mutex;

use super::File;
use crate::data::MAX_SIZE;

/// Bytes that are read ahead of a sequential reader, at first and at most.
const FIRST_AHEAD: u64 = 256 << 10;
const MOST_AHEAD: u64 = 16 << 20;

/// A read that begins so near behind or before the end of the last one goes on from it: kernels and caches read ahead by
/// several requests, which do not come in order. Before the end it may be further, if more was read ahead.
const NEAR: u64 = 2 << 20;

/// An open regular file.
pub(super) struct BlobFile {
    file: File,
    /// Whether reading leaves the time of access.
    no_atime: bool,
    reader: Mutex<Reader>,
}

/// How an open file is read.
#[derive(Default)]
struct Reader {
    /// Where the reads so far have ended.
    next: u64,
    /// How far is read ahead, in bytes; zero while reads are not sequential.
    window: u64,
    /// Up to where something was read ahead.
    ahead: u64,
}

impl Reader {
    /// Notes a read, and says what to read ahead of the next ones.
    fn note(&mut self, offset: u64, count: u64, size: u64) -> Option<(u64, u64)> {
        let is_sequential = match self.window {
            0 => offset == self.next,
            window if offset >= self.next => offset - self.next <= window.max(NEAR),
            _ => self.next - offset <= NEAR,
        };
        if !is_sequential {
            self.next = offset + count;
            (self.window, self.ahead) = (0, self.next);
            return None;
        }
        self.next = self.next.max(offset + count);
        // Half of what was read ahead is used up: time for more.
        if self.window > 0 && self.ahead > self.next + self.window / 2 {
            return None;
        }
        self.window = (self.window * 2).clamp(FIRST_AHEAD, MOST_AHEAD);
        let start = self.ahead.max(self.next);
        let end = (self.next + self.window).min(size);
        self.ahead = self.ahead.max(end);
        (start < end).then_some((start, end))
    }
}

impl BlobFile {
    pub(super) fn new(file: File, no_atime: bool) -> Self {
        BlobFile { file, no_atime, reader: Mutex::default() }
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
        let ahead = self.reader.lock().note(offset, wanted, size);
        if let Some((start, end)) = ahead {
            let block = volume.block();
            let (volume, node) = (volume.clone(), self.file.node.clone());
            let runtime = volume.runtime.clone();
            runtime.spawn(volume.prefetch(node, start / block, end.div_ceil(block)));
        }
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
    pub(super) file: File,
    /// Whether listing leaves the time of access.
    pub(super) no_atime: bool,
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
        volume.list(&self.file.node, from, |entry, next| {
            let file_type = FileType::from_mode(entry.kind.into());
            sink.add(&DirEntry::new(&entry.name, entry.ino, file_type, next).on_device(0, volume.device))
        })?;
        if !self.no_atime {
            self.file.accessed();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequential_readers_are_read_ahead_of() {
        const SIZE: u64 = 100 << 20;
        const STEP: u64 = 128 << 10;
        let mut reader = Reader::default();
        let mut asked = 0;
        for at in (0..SIZE).step_by(128 << 10) {
            if let Some((start, end)) = reader.note(at, STEP, SIZE) {
                assert!(start >= at && end <= SIZE && end - at <= MOST_AHEAD + STEP, "{at}: {start}..{end}");
                asked += end - start;
            }
        }
        assert!((SIZE - STEP..=SIZE).contains(&asked), "{asked}");
        assert_eq!(reader.note(7, 10, SIZE), None);
        assert_eq!(reader.note(90, 10, SIZE), None);
        assert!(reader.note(100, 10, SIZE).is_some());
    }

    #[test]
    fn reads_need_not_come_in_order() {
        const SIZE: u64 = 256 << 20;
        const STEP: u64 = 128 << 10;
        let mut reader = Reader::default();
        let (mut asked, mut times) = (0, 0);
        // Each four the wrong way round.
        for at in (0..SIZE / STEP).map(|number| (if number < 4 { number } else { number ^ 3 }) * STEP) {
            if let Some((start, end)) = reader.note(at, STEP, SIZE) {
                asked += end - start;
                times += 1;
            }
        }
        assert!((SIZE - MOST_AHEAD..=SIZE).contains(&asked), "{asked}");
        assert!(times <= 2 * SIZE / MOST_AHEAD + 10, "{times}");
        assert_eq!(reader.note(7, 10, SIZE), None, "this is somewhere else");
    }
}
