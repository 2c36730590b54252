//! Memory for blocks on their way.

use std::ops::{Deref, DerefMut};

use parking_lot::Mutex;

use super::redo::NOTE;
use crate::format::{Content, HEADER_LEN};

/// Blocks that are worked on at once: few enough for a processor's cache, enough for system calls not to count.
pub(super) const BLOCKS: usize = 32;

/// Bytes before the first block: room for a note, or for a header.
pub(super) const LEAD: usize = NOTE + HEADER_LEN;

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
