//! The content of a regular file.

use std::collections::BTreeMap;

use super::chunk::{CHUNK, Chunk, fill_with_zeros};
use super::space::Space;
use crate::backend::{Errno, IoSource, IoTarget, Result};

/// No file is larger: offsets are signed in system calls.
pub(super) const MAX_SIZE: u64 = i64::MAX as u64;

/// Bytes with holes.
///
/// What is in no chunk reads as zero. No chunk stores bytes beyond the size, though space may be reserved there.
/// The first chunk is in place, as for most files it is the only one.
#[derive(Debug, Default)]
pub(super) struct Content {
    size: u64,
    first: Chunk,
    rest: Option<Box<Rest>>,
}

/// All chunks but the first.
#[derive(Debug, Default)]
pub(super) struct Rest {
    chunks: BTreeMap<u64, Chunk>,
    held: u64,
}

/// The chunk that byte `offset` is in, and its position there.
#[expect(clippy::cast_possible_truncation, reason = "a position in a chunk is small")]
pub(super) fn split(offset: u64) -> (u64, usize) {
    (offset / CHUNK as u64, (offset % CHUNK as u64) as usize)
}

/// `offset` and the number of bytes behind it as far as a file can have them, up to `len`.
fn within_limits(offset: u64, len: usize) -> Result<usize> {
    let room = MAX_SIZE.checked_sub(offset).ok_or(Errno::INVAL)?;
    Ok(usize::try_from(room).map_or(len, |room| room.min(len)))
}

impl Content {
    /// Bytes of the file.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Bytes of memory.
    pub(super) fn held(&self) -> u64 {
        self.first.held() + self.rest.as_ref().map_or(0, |rest| rest.held)
    }

    /// Makes the file end after `size` bytes at least.
    pub(super) fn extend(&mut self, size: u64) {
        self.size = self.size.max(size);
    }

    fn chunk(&self, index: u64) -> Option<&Chunk> {
        if index == 0 { Some(&self.first) } else { self.rest.as_ref()?.chunks.get(&index) }
    }

    /// The indexes of chunks from `first` to `last` that exist.
    pub(super) fn existing(&self, first: u64, last: u64) -> Vec<u64> {
        let mut indexes = if first == 0 { vec![0] } else { Vec::new() };
        if let Some(rest) = &self.rest {
            indexes.extend(rest.chunks.range(first..=last).map(|(index, _)| *index));
        }
        indexes
    }

    /// Changes a chunk, which is made if there is none, and removed if it holds nothing afterwards.
    pub(super) fn with_chunk<R>(&mut self, index: u64, change: impl FnOnce(&mut Chunk) -> R) -> R {
        if index == 0 {
            return change(&mut self.first);
        }
        let rest = self.rest.get_or_insert_default();
        let chunk = rest.chunks.entry(index).or_default();
        let before = chunk.held();
        let result = change(chunk);
        let after = chunk.held();
        rest.held = rest.held - before + after;
        if after == 0 {
            rest.chunks.remove(&index);
            if rest.chunks.is_empty() {
                self.rest = None;
            }
        }
        result
    }

    /// How much memory a chunk has.
    pub(super) fn held_at(&self, index: u64) -> u64 {
        self.chunk(index).map_or(0, Chunk::held)
    }

    /// Reads from byte `offset` on; answers how many bytes there were.
    pub(super) fn read_at(&self, mut into: IoTarget<'_>, offset: u64) -> Result<usize> {
        let len = within_limits(offset, into.len())?;
        let left = self.size.saturating_sub(offset);
        let len = usize::try_from(left).map_or(len, |left| left.min(len));
        let mut done = 0;
        while done < len {
            let (index, start) = split(offset + done as u64);
            let n = (CHUNK - start).min(len - done);
            let mut into = into.part(done, n);
            match self.chunk(index) {
                Some(chunk) => chunk.read(start, &mut into),
                None => fill_with_zeros(&mut into),
            }
            done += n;
        }
        Ok(len)
    }

    /// Writes at byte `offset`; answers how many bytes there was space for, or `ENOSPC` if for none.
    pub(super) fn write_at(&mut self, from: IoSource<'_>, offset: u64, space: &Space) -> Result<usize> {
        let len = within_limits(offset, from.len())?;
        if from.is_empty() {
            return Ok(0);
        }
        if len == 0 {
            return Err(Errno::FBIG);
        }
        let mut done = 0;
        while done < len {
            let (index, start) = split(offset + done as u64);
            let wanted = (CHUNK - start).min(len - done);
            let n = self.with_chunk(index, |chunk| chunk.write(start, from.part(done, wanted), space));
            done += n;
            if n < wanted {
                break;
            }
        }
        if done == 0 {
            return Err(Errno::NOSPC);
        }
        self.extend(offset + done as u64);
        Ok(done)
    }

    /// Cuts the file off or makes it longer by a hole.
    pub(super) fn set_size(&mut self, size: u64, space: &Space) -> Result<()> {
        if size > MAX_SIZE {
            return Err(Errno::INVAL);
        }
        if size <= self.size {
            self.cut(size, space);
        }
        self.size = size;
        Ok(())
    }

    /// Drops all bytes from `size` on, and the space reserved behind.
    fn cut(&mut self, size: u64, space: &Space) {
        let (index, len) = split(size);
        if let Some(rest) = &mut self.rest {
            let gone = rest.chunks.split_off(&(index + 1));
            let held = gone.values().map(Chunk::held).sum();
            rest.held -= held;
            space.give(held);
            if rest.chunks.is_empty() {
                self.rest = None;
            }
        }
        if self.held_at(index) > 0 {
            self.with_chunk(index, |chunk| chunk.cut(len, space));
        }
    }
}
