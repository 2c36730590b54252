//! How a file is read: one byte after the other, or anywhere.

use std::ops::Range;

use crate::store::{BLOCK, Want};

/// What is fetched first for a sequential reader.
const FIRST: u64 = 128 << 10;
/// What is fetched ahead of one at most: work for all threads that fetch.
const MOST: u64 = 16 << 20;
/// A read that begins so near behind or before the last one still goes on from it: a kernel reads ahead by itself, and
/// not always in order.
const NEAR: u64 = 256 << 10;

/// What was read through one open file.
#[derive(Debug, Default)]
pub(super) struct Pattern {
    next: u64,
    /// How much is fetched ahead; nothing for a reader that reads here and there.
    window: u64,
    /// Up to where it was.
    ahead_to: u64,
    last_block: Option<u64>,
}

impl Pattern {
    /// `len` bytes are read at `offset` of a file of `size` bytes. Says what is wanted of the cache now, and what is to
    /// be fetched by somebody else.
    pub(super) fn read(&mut self, offset: u64, len: u64, size: u64) -> (Want, Range<u64>) {
        let end = offset.saturating_add(len).min(size);
        let is_near = offset.abs_diff(self.next) <= if self.next == 0 { 0 } else { NEAR };
        if is_near {
            self.window = (self.window * 2).clamp(FIRST, MOST);
            self.next = self.next.max(end);
        } else {
            (self.window, self.ahead_to, self.next) = (0, 0, end);
        }
        let want = Want { fetch_to: self.fetch_to(end, size), last_block: self.last_block };
        self.last_block = Some(end.saturating_sub(1) / BLOCK);
        let to = if self.window > FIRST { end.saturating_add(self.window).min(size) } else { 0 };
        let from = self.ahead_to.max(want.fetch_to);
        // A little at a time would be many requests.
        if to < from.saturating_add(BLOCK) && to < size || to <= from {
            return (want, 0..0);
        }
        let to = if to == size { size } else { to / BLOCK * BLOCK };
        if to <= from {
            return (want, 0..0);
        }
        self.ahead_to = to;
        (want, from..to)
    }

    /// Up to where a reader waits for data that is missing.
    fn fetch_to(&self, end: u64, size: u64) -> u64 {
        match self.window {
            0 => end,
            // The rest of a small file comes with its beginning.
            _ if size <= BLOCK => size,
            window => end.saturating_add(window.min(BLOCK)).min(size),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: u64 = 100 << 20;

    #[test]
    fn sequential_readers_are_served_ahead() {
        let mut pattern = Pattern::default();
        let (mut covered, mut most) = (0, 0);
        for offset in (0..SIZE).step_by(64 << 10) {
            let (want, ahead) = pattern.read(offset, 64 << 10, SIZE);
            covered = covered.max(want.fetch_to);
            if !ahead.is_empty() {
                assert!(ahead.start <= covered, "nothing is left out");
                covered = covered.max(ahead.end);
            }
            most = most.max(covered - offset);
        }
        assert_eq!(covered, SIZE);
        assert!((MOST..=MOST + 2 * BLOCK).contains(&most), "{most}");
    }

    #[test]
    fn others_get_what_they_ask_for() {
        let mut pattern = Pattern::default();
        for offset in [50 << 20, 3 << 20, 80 << 20, 10 << 20] {
            let (want, ahead) = pattern.read(offset, 4096, SIZE);
            assert_eq!((want.fetch_to, ahead), (offset + 4096, 0..0));
        }
    }

    #[test]
    fn small_files_come_whole() {
        let (want, ahead) = Pattern::default().read(0, 4096, 300_000);
        assert_eq!((want.fetch_to, ahead.is_empty()), (300_000, true));
    }
}
