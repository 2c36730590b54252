//! Memory for blocks on their way.

use std::ops::{Deref, DerefMut, Range};

use parking_lot::Mutex;

use super::content::within;
use super::redo::NOTE;
use crate::format::{BLOCK, Content, HEADER_LEN};

/// Blocks that are worked on at once: few enough for a processor's cache, enough for system calls not to count.
pub(super) const BLOCKS: usize = 32;

/// Bytes before the first block: room for a note, or for a header.
pub(super) const LEAD: usize = NOTE + HEADER_LEN;

/// Plain bytes that a buffer takes.
const WHOLE: usize = BLOCKS * BLOCK;

/// A range of plain bytes, cut between blocks such that each part fits into a buffer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parts {
    offset: u64,
    len: usize,
}

impl Parts {
    /// `len` bytes from `offset` on.
    pub(super) fn new(offset: u64, len: usize) -> Self {
        Parts { offset, len }
    }

    /// How many there are.
    pub(super) fn count(self) -> usize {
        (self.skip() + self.len).div_ceil(WHOLE)
    }

    /// Which bytes of the range part `number` is, and where it begins in the file.
    pub(super) fn get(self, number: usize) -> (Range<usize>, u64) {
        let start = (number * WHOLE).saturating_sub(self.skip());
        let end = ((number + 1) * WHOLE - self.skip()).min(self.len);
        (start..end, self.offset.saturating_add(start as u64))
    }

    fn skip(self) -> usize {
        within(self.offset)
    }
}

/// How many buffers are kept for whoever comes next.
const KEPT: usize = 8;

/// Buffers of a volume, each large enough for what comes before blocks and [`BLOCKS`] of them.
#[derive(Debug)]
pub(super) struct Buffers {
    size: usize,
    free: Mutex<Vec<Box<[u8]>>>,
}

impl Buffers {
    pub(super) fn new(content: &Content) -> Self {
        Buffers { size: LEAD + BLOCKS * content.block(), free: Mutex::default() }
    }

    /// A buffer with whatever is in it.
    pub(super) fn take(&self) -> Buffer<'_> {
        let free = self.free.lock().pop();
        Buffer { bytes: free.unwrap_or_else(|| vec![0; self.size].into()), home: self }
    }
}

/// A buffer that is in use.
pub(super) struct Buffer<'a> {
    bytes: Box<[u8]>,
    home: &'a Buffers,
}

impl Deref for Buffer<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl DerefMut for Buffer<'_> {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

impl Drop for Buffer<'_> {
    fn drop(&mut self) {
        let mut free = self.home.free.lock();
        if free.len() < KEPT {
            free.push(std::mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_follow_each_other_and_meet_between_blocks() {
        for (offset, len) in [(0, 1), (5, 3), (0, WHOLE), (4095, WHOLE), (WHOLE as u64, 8 * WHOLE), (77, 3 * WHOLE + 9)]
        {
            let parts = Parts::new(offset, len);
            let mut end = 0;
            for number in 0..parts.count() {
                let (range, at) = parts.get(number);
                assert_eq!((range.start, at), (end, offset + end as u64));
                assert!(number == 0 || within(at) == 0);
                assert!(!range.is_empty() && within(at) + range.len() <= WHOLE);
                end = range.end;
            }
            assert_eq!(end, len);
        }
        assert_eq!(Parts::new(9, 0).count(), 1);
    }
}
