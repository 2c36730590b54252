//! The content of a small file.

use super::space::Space;
use super::store::fill_with_zeros;
use lisafs::backend::{Error, IoSource, IoTarget, Result};

/// The most bytes of a small file. In the store they would take a page, and some memory to keep track of it.
pub(super) const SMALL: usize = 2048;

/// The content of a small file in one allocation, which is only as large as it has to be.
///
/// Bytes behind those that are stored read as zero. An allocation may be larger than what is stored: then the space is
/// reserved.
#[derive(Debug, Default)]
pub(super) struct Small(Vec<u8>);

/// The size of an allocation for `len` bytes. The usual allocator hands out multiples of 16 less 8.
pub(super) fn rounded(len: usize) -> usize {
    if len == 0 { 0 } else { ((len + 8).next_multiple_of(16) - 8).clamp(24, SMALL) }
}

impl Small {
    /// The bytes that are stored.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Bytes of memory.
    pub(super) fn held(&self) -> u64 {
        self.0.capacity() as u64
    }

    /// Puts bytes from position `start` on into `into`.
    pub(super) fn read(&self, start: usize, into: &mut IoTarget<'_>) {
        let stored = self.0.get(start..).unwrap_or_default();
        let stored = &stored[..stored.len().min(into.len())];
        into.put(0, stored);
        let zeros = into.len() - stored.len();
        fill_with_zeros(&mut into.part(stored.len(), zeros));
    }

    /// Stores `from` at position `start`, and returns how many bytes there was space for.
    pub(super) fn write(&mut self, start: usize, from: IoSource<'_>, space: &Space) -> usize {
        let before = self.0.capacity();
        let room = self.grow(start + from.len(), space);
        if room <= start {
            // What was got is of no use.
            self.shrink_to(before, space);
            return 0;
        }
        if self.0.len() < room {
            self.0.resize(room, 0);
        }
        from.part(0, room - start).get(0, &mut self.0[start..room]);
        room - start
    }

    /// Makes room for `end` bytes, and returns for how many of them there is. Takes more than needed for a growing
    /// file, so that it is not copied with every write.
    fn grow(&mut self, end: usize, space: &Space) -> usize {
        let capacity = self.0.capacity();
        if end <= capacity {
            return end;
        }
        let needed = rounded(end) - capacity;
        let generous = (rounded(end).max(2 * capacity)).min(SMALL) - capacity;
        let taken = match space.take(generous as u64) {
            Ok(()) => generous,
            // At most what was asked for, so it fits.
            Err(_) => usize::try_from(space.take_some(needed as u64)).unwrap_or(0),
        };
        match self.reserve(capacity + taken, space) {
            Ok(()) => end.min(self.0.capacity()),
            Err(_) => {
                space.give(taken as u64);
                end.min(capacity)
            }
        }
    }

    /// Makes the allocation `capacity` bytes large, if it is smaller. The caller has taken the difference from `space`.
    pub(super) fn reserve(&mut self, capacity: usize, space: &Space) -> Result<()> {
        if capacity > self.0.capacity() {
            self.0.try_reserve_exact(capacity - self.0.len()).map_err(|_| Error::NOSPC)?;
            // The allocator may have given more than it was asked for.
            space.take_regardless((self.0.capacity() - capacity) as u64);
        }
        Ok(())
    }

    /// Drops all bytes from position `len` on, and the space behind. What is reserved before stays.
    pub(super) fn cut(&mut self, len: usize, space: &Space) {
        self.0.truncate(len);
        self.shrink_to(rounded(len), space);
    }

    /// Gives memory back until `capacity` is left.
    fn shrink_to(&mut self, capacity: usize, space: &Space) {
        let before = self.0.capacity();
        if capacity < before {
            self.0.shrink_to(capacity);
            space.give((before - self.0.capacity()) as u64);
        }
    }

    /// Makes the bytes from `start` to `end` zero, and keeps their space.
    pub(super) fn zero(&mut self, start: usize, end: usize) {
        if end >= self.0.len() {
            self.0.truncate(start);
        } else {
            self.0[start..end].fill(0);
        }
    }

    /// Makes the bytes from `start` to `end` zero, and gives their space back if nothing is behind it.
    pub(super) fn punch(&mut self, start: usize, end: usize, space: &Space) {
        if end >= self.0.capacity() {
            self.cut(start, space);
        } else {
            self.zero(start, end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allocations_fit_their_content() {
        assert_eq!([0, 1, 24, 25, 100, SMALL - 20, SMALL].map(rounded), [0, 24, 24, 40, 104, SMALL - 8, SMALL]);
        let space = Space::new(Some(1 << 20), None);
        let mut small = Small::default();
        assert_eq!(small.write(0, (&[1; 100][..]).into(), &space), 100);
        assert_eq!((small.held(), space.used().0), (104, 104));
        assert_eq!(small.write(100, (&[1; 10][..]).into(), &space), 10);
        assert_eq!((small.held(), space.used().0), (208, 208));
        small.cut(1, &space);
        assert_eq!((small.held(), space.used().0), (24, 24));
        small.cut(0, &space);
        assert_eq!((small.held(), space.used().0), (0, 0));
    }

    #[test]
    fn the_last_byte_of_space_is_used() {
        let space = Space::new(Some(150), None);
        let mut small = Small::default();
        assert_eq!(small.write(0, (&[1; 100][..]).into(), &space), 100);
        assert_eq!(small.write(100, (&[1; 100][..]).into(), &space), 50);
        assert_eq!(small.write(150, (&[1; 100][..]).into(), &space), 0);
        assert_eq!(space.used().0, 150);
        // Nothing could be written there, so nothing is held for it.
        let mut other = Small::default();
        space.give(100);
        assert_eq!(other.write(120, (&[1; 10][..]).into(), &space), 0);
        assert_eq!((other.held(), space.used().0), (0, 50));
    }
}
