//! Reserving and freeing space of a file.

use std::ops::Range;

use rustix::fs::FallocateFlags;

use super::Shared;
use super::content::{Content, MAX_SIZE, split};
use super::slot::PAGE;
use super::small::rounded;
use super::store::SLOT;
use lisafs::backend::{AllocateFlags, Error, Result};

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
            _ => Err(Error::OPNOTSUPP),
        }
    }
}

impl Content {
    /// Does what `fallocate(2)` does in this mode.
    pub(super) fn allocate(&mut self, flags: AllocateFlags, offset: u64, length: u64, fs: &Shared) -> Result<()> {
        let what = What::of(flags.bits())?;
        if offset > MAX_SIZE || length > MAX_SIZE || length == 0 {
            return Err(Error::INVAL);
        }
        let end = offset + length;
        if end > MAX_SIZE {
            return Err(Error::FBIG);
        }
        let range = offset..end;
        match what {
            What::Reserve { .. } => self.reserve(&range, fs)?,
            What::Punch => {
                self.each_small(&range, |content, start, end| content.small.punch(start, end, &fs.space));
                self.each_slot(&range, fs, |slot, range| slot.punch(&range, fs));
            }
            What::Zero { .. } => {
                self.reserve(&range, fs)?;
                self.each_small(&range, |content, start, end| content.small.zero(start, end));
                self.each_slot(&range, fs, |slot, range| slot.zero(&range, fs));
            }
        }
        if matches!(what, What::Reserve { grow: true } | What::Zero { grow: true }) {
            self.extend(end);
        }
        Ok(())
    }

    /// Calls `change` with the part of `range` that can be a small file's.
    fn each_small(&mut self, range: &Range<u64>, change: impl FnOnce(&mut Self, usize, usize)) {
        if let Ok(start) = usize::try_from(range.start) {
            change(self, start, usize::try_from(range.end).unwrap_or(usize::MAX));
        }
    }

    /// Reserves space for all of `range`, or none.
    fn reserve(&mut self, range: &Range<u64>, fs: &Shared) -> Result<()> {
        if let Ok(end) = usize::try_from(range.end)
            && self.is_small(range.end)
        {
            let missing = (rounded(end) as u64).saturating_sub(self.small.held());
            fs.space.take(missing)?;
            return self.small.reserve(rounded(end), &fs.space).inspect_err(|_| fs.space.give(missing));
        }
        self.outgrow(fs)?;
        let ((first, start), (last, end)) = (split(range.start), split(range.end - 1));
        let part = |index| if index == first { start } else { 0 }..if index == last { end + 1 } else { SLOT };
        let pages = (range.end.div_ceil(PAGE as u64) - range.start / PAGE as u64) * PAGE as u64;
        let there = |index| self.slot(index).map_or(0, |slot| page_bytes(&part(index)) - slot.missing(&part(index)));
        let mut taken = pages - self.existing(first, last).into_iter().map(there).sum::<u64>();
        fs.space.take(taken)?;
        for index in first..=last {
            let reserved = self.with_slot(index, fs, |slot| {
                let missing = slot.missing(&part(index));
                slot.reserve(&part(index));
                missing
            });
            // There are no more slots: more than a hundred terabytes are in use.
            taken -= reserved.inspect_err(|_| fs.space.give(taken))?;
        }
        Ok(())
    }
}

/// Bytes of the pages that are wholly or partly in `range`.
fn page_bytes(range: &Range<usize>) -> u64 {
    ((range.end.div_ceil(PAGE) - range.start / PAGE) * PAGE) as u64
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::extensions::memfs::{MemFs, MemOptions};

    const KEEP: u32 = 1;
    const PUNCH: u32 = 2;
    const ZERO: u32 = 0x10;

    #[test]
    fn modes_that_would_move_data_are_refused() {
        for mode in [PUNCH, PUNCH | ZERO | KEEP, 4, 8, 0x20, 0x40, 0x8000_0000] {
            assert_eq!(What::of(mode), Err(Error::OPNOTSUPP), "{mode:#x}");
        }
    }

    fn file_system(size: Option<u64>) -> Arc<Shared> {
        MemFs::new(MemOptions { size, ..MemOptions::default() }).unwrap().root.fs().clone()
    }

    #[test]
    fn a_reservation_is_all_or_nothing() {
        const BYTES: &[u8] = &[2; 80 * PAGE];
        const SIZE: u64 = BYTES.len() as u64;
        let fs = &*file_system(Some(SIZE));
        let mut content = Content::default();
        content.write_at((&[1; 10][..]).into(), 70_000, fs).unwrap();
        let before = fs.space.used();
        assert_eq!(content.allocate(AllocateFlags::empty(), 0, SIZE + 1, fs), Err(Error::NOSPC));
        assert_eq!(content.allocate(AllocateFlags::empty(), 0, MAX_SIZE, fs), Err(Error::NOSPC));
        assert_eq!((fs.space.used(), content.size()), (before, 70_010));
        assert_eq!(content.allocate(AllocateFlags::from_bits_retain(KEEP), 1, SIZE - 1, fs), Ok(()));
        assert_eq!((content.size(), content.held(), fs.space.used().0), (70_010, SIZE, SIZE));
        // Reserved space can be written although nothing else is left.
        assert_eq!(content.write_at(BYTES.into(), 0, fs), Ok(BYTES.len()));
        assert_eq!(content.write_at((&[2; 5000][..]).into(), SIZE, fs), Err(Error::NOSPC));
        content.clear(fs);
        assert_eq!(fs.space.used().0, 0);
    }

    #[test]
    fn small_files_reserve_little() {
        let fs = &*file_system(Some(8192));
        let mut content = Content::default();
        assert_eq!(content.allocate(AllocateFlags::empty(), 10, 90, fs), Ok(()));
        assert_eq!((content.size(), content.held(), fs.space.used().0), (100, 104, 104));
        assert_eq!(content.write_at((&[1; 100][..]).into(), 0, fs), Ok(100));
        assert_eq!(content.allocate(AllocateFlags::from_bits_retain(ZERO | KEEP), 50, 1000, fs), Ok(()));
        assert_eq!((content.size(), content.held()), (100, 1064));
        assert_eq!(content.allocate(AllocateFlags::from_bits_retain(PUNCH | KEEP), 40, 10_000, fs), Ok(()));
        assert_eq!((content.size(), content.held()), (100, 40));
        // Outgrown, as far as there is space.
        assert_eq!(content.allocate(AllocateFlags::empty(), 0, 8193, fs), Err(Error::NOSPC));
        assert_eq!(content.size(), 100);
        assert_eq!(content.allocate(AllocateFlags::empty(), 0, 8192, fs), Ok(()));
        assert_eq!((content.size(), content.held(), fs.space.used().0), (8192, 8192, 8192));
        let mut bytes = [9; 60];
        content.read_at((&mut bytes[..]).into(), 20, fs).unwrap();
        assert_eq!(bytes, std::array::from_fn(|i| u8::from(i < 20)));
    }

    #[test]
    fn ranges_are_checked() {
        let fs = &*file_system(None);
        let mut content = Content::default();
        assert_eq!(content.allocate(AllocateFlags::empty(), 0, 0, fs), Err(Error::INVAL));
        assert_eq!(content.allocate(AllocateFlags::empty(), 1 << 63, 1, fs), Err(Error::INVAL));
        assert_eq!(content.allocate(AllocateFlags::empty(), 1, MAX_SIZE, fs), Err(Error::FBIG));
        assert_eq!(content.allocate(AllocateFlags::from_bits_retain(PUNCH | KEEP), 1, MAX_SIZE - 1, fs), Ok(()));
        assert_eq!((content.size(), content.held()), (0, 0));
    }
}
