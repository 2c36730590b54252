//! Reserving and freeing space of a file.

use std::ops::Range;

use rustix::fs::FallocateFlags;

use super::chunk::{CHUNK, rounded};
use super::content::{Content, MAX_SIZE, split};
use super::space::Space;
use crate::backend::{Errno, Result};

/// What a call of `fallocate(2)` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Reserve { grow: bool },
    Punch,
    Zero { grow: bool },
}

impl What {
    fn of(mode: u32) -> Result<Self> {
        const KEEP_SIZE: u32 = FallocateFlags::KEEP_SIZE.bits();
        const PUNCH: u32 = FallocateFlags::PUNCH_HOLE.bits() | KEEP_SIZE;
        const ZERO: u32 = FallocateFlags::ZERO_RANGE.bits();
        const ZERO_AND_KEEP: u32 = ZERO | KEEP_SIZE;
        match mode {
            0 => Ok(What::Reserve { grow: true }),
            KEEP_SIZE => Ok(What::Reserve { grow: false }),
            PUNCH => Ok(What::Punch),
            ZERO => Ok(What::Zero { grow: true }),
            ZERO_AND_KEEP => Ok(What::Zero { grow: false }),
            _ => Err(Errno::OPNOTSUPP),
        }
    }
}

impl Content {
    /// Does what `fallocate(2)` does in this mode.
    pub(super) fn allocate(&mut self, mode: u32, offset: u64, length: u64, space: &Space) -> Result<()> {
        let what = What::of(mode)?;
        if offset > MAX_SIZE || length > MAX_SIZE || length == 0 {
            return Err(Errno::INVAL);
        }
        let end = offset + length;
        if end > MAX_SIZE {
            return Err(Errno::FBIG);
        }
        let range = offset..end;
        match what {
            What::Reserve { .. } => self.reserve(&range, space)?,
            What::Punch => self.each_within(&range, |content, index, start, end| {
                content.with_chunk(index, |chunk| chunk.punch(start, end, space));
            }),
            What::Zero { .. } => {
                self.reserve(&range, space)?;
                self.each_within(&range, |content, index, start, end| {
                    content.with_chunk(index, |chunk| chunk.zero(start, end));
                });
            }
        }
        if matches!(what, What::Reserve { grow: true } | What::Zero { grow: true }) {
            self.extend(end);
        }
        Ok(())
    }

    /// Calls `f` with each chunk that exists and the part of it that is in `range`.
    fn each_within(&mut self, range: &Range<u64>, mut f: impl FnMut(&mut Self, u64, usize, usize)) {
        let ((first, start), (last, end)) = (split(range.start), split(range.end));
        for index in self.existing(first, last) {
            let start = if index == first { start } else { 0 };
            let end = if index == last { end } else { CHUNK };
            if start < end {
                f(self, index, start, end);
            }
        }
    }

    /// Reserves space for all of `range`, or none.
    fn reserve(&mut self, range: &Range<u64>, space: &Space) -> Result<()> {
        let first = split(range.start).0;
        // The last chunk is needed up to here.
        let (last, end) = split(range.end - 1);
        let end = rounded(end + 1);
        let capacity = |index| if index == last { end } else { CHUNK };
        let all = (last - first).saturating_mul(CHUNK as u64).saturating_add(end as u64);
        let there = |index: u64| self.held_at(index).min(capacity(index) as u64);
        let mut taken = all - self.existing(first, last).into_iter().map(there).sum::<u64>();
        space.take(taken)?;
        for index in first..=last {
            let needed = (capacity(index) as u64).saturating_sub(self.held_at(index));
            if needed == 0 {
                continue;
            }
            if let Err(error) = self.with_chunk(index, |chunk| chunk.reserve(capacity(index), space)) {
                // The machine has less memory than was promised. What was reserved so far does no harm.
                space.give(taken);
                return Err(error);
            }
            taken -= needed;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEEP: u32 = 1;
    const PUNCH: u32 = 2;
    const ZERO: u32 = 0x10;

    #[test]
    fn modes_that_would_move_data_are_refused() {
        for mode in [PUNCH, PUNCH | ZERO | KEEP, 4, 8, 0x20, 0x40, 0x8000_0000] {
            assert_eq!(What::of(mode), Err(Errno::OPNOTSUPP), "{mode:#x}");
        }
    }

    #[test]
    fn a_reservation_is_all_or_nothing() {
        let space = Space::new(Some(300_000), None);
        let mut content = Content::default();
        content.write_at((&[1; 10][..]).into(), 70_000, &space).unwrap();
        let before = space.used();
        assert_eq!(content.allocate(0, 0, 300_001, &space), Err(Errno::NOSPC));
        assert_eq!(content.allocate(0, 0, MAX_SIZE, &space), Err(Errno::NOSPC));
        assert_eq!((space.used(), content.size()), (before, 70_010));
        assert_eq!(content.allocate(KEEP, 0, 299_000, &space), Ok(()));
        assert_eq!((content.size(), content.held()), (70_010, space.used().0));
        assert!((299_000..=300_000).contains(&space.used().0));
        // Reserved space can be written although nothing else is left.
        space.take_some(u64::MAX);
        assert_eq!(content.write_at(vec![2; 299_000].as_slice().into(), 0, &space), Ok(299_000));
        assert_eq!(content.write_at((&[2; 5000][..]).into(), 299_008, &space), Err(Errno::NOSPC));
    }

    #[test]
    fn ranges_are_checked() {
        let space = Space::new(None, None);
        let mut content = Content::default();
        assert_eq!(content.allocate(0, 0, 0, &space), Err(Errno::INVAL));
        assert_eq!(content.allocate(0, 1 << 63, 1, &space), Err(Errno::INVAL));
        assert_eq!(content.allocate(0, 1, MAX_SIZE, &space), Err(Errno::FBIG));
        assert_eq!(content.allocate(PUNCH | KEEP, 1, MAX_SIZE - 1, &space), Ok(()));
        assert_eq!((content.size(), content.held()), (0, 0));
    }
}
