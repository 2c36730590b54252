//! The content of a regular file.

use std::collections::BTreeMap;
use std::ops::Range;

use super::Shared;
use super::slot::{PAGE, Slot};
use super::small::{SMALL, Small};
use super::store::{SLOT, fill_with_zeros};
use lisafs::backend::{Error, IoSource, IoTarget, Result, SeekTo};

/// No file is larger: offsets are signed in system calls.
pub(super) const MAX_SIZE: u64 = i64::MAX as u64;

/// Bytes with holes.
///
/// All bytes that are stored are in one place: a small file's own, or slots of the store. What is nowhere is zero, and
/// nothing but zeros is stored beyond the size, though space may be reserved there.
#[derive(Debug, Default)]
pub(super) struct Content {
    size: u64,
    /// Empty if there are slots.
    pub(super) small: Small,
    /// Once a file has been larger than a small one.
    slots: Option<Box<Slots>>,
}

/// Slots by the position of their content, in units of [`SLOT`].
#[derive(Debug, Default)]
struct Slots {
    slots: BTreeMap<u64, Slot>,
    held: u64,
}

impl Slots {
    fn data_from(&self, offset: u64) -> Option<u64> {
        let (first, start) = split(offset);
        self.slots.range(first..).find_map(|(index, slot)| {
            let start = if *index == first { start } else { 0 };
            slot.first_held(start, true).map(|found| *index * SLOT as u64 + found as u64)
        })
    }

    fn hole_from(&self, offset: u64) -> u64 {
        let (first, mut start) = split(offset);
        let mut expected = first;
        for (index, slot) in self.slots.range(first..) {
            if *index != expected {
                break;
            }
            if let Some(found) = slot.first_held(start, false) {
                return *index * SLOT as u64 + found as u64;
            }
            (expected, start) = (index + 1, 0);
        }
        expected * SLOT as u64 + start as u64
    }
}

/// The slot that byte `offset` is in, and its position there.
#[expect(clippy::cast_possible_truncation, reason = "a position in a slot is small")]
pub(super) fn split(offset: u64) -> (u64, usize) {
    (offset / SLOT as u64, (offset % SLOT as u64) as usize)
}

/// `offset` and the number of bytes behind it as far as a file can have them, up to `len`.
fn within_limits(offset: u64, len: usize) -> Result<usize> {
    let room = MAX_SIZE.checked_sub(offset).ok_or(Error::INVAL)?;
    Ok(usize::try_from(room).map_or(len, |room| room.min(len)))
}

impl Content {
    /// Bytes of the file.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Bytes of memory.
    pub(super) fn held(&self) -> u64 {
        self.small.held() + self.slots.as_ref().map_or(0, |slots| slots.held)
    }

    /// Makes the file end after `size` bytes at least.
    pub(super) fn extend(&mut self, size: u64) {
        self.size = self.size.max(size);
    }

    /// Whether the content up to `end` is, or can be, that of a small file.
    pub(super) fn is_small(&self, end: u64) -> bool {
        self.slots.is_none() && end <= SMALL as u64
    }

    /// The slot `index`.
    pub(super) fn slot(&self, index: u64) -> Option<&Slot> {
        self.slots.as_ref()?.slots.get(&index)
    }

    /// The indexes of slots from `first` to `last` that exist.
    pub(super) fn existing(&self, first: u64, last: u64) -> Vec<u64> {
        let range = |slots: &Slots| slots.slots.range(first..=last).map(|(index, _)| *index).collect();
        self.slots.as_deref().map_or_else(Vec::new, range)
    }

    /// Changes a slot, which is made if there is none, and removed if it holds nothing afterwards.
    pub(super) fn with_slot<R>(&mut self, index: u64, fs: &Shared, change: impl FnOnce(&mut Slot) -> R) -> Result<R> {
        if let Some(slots) = &mut self.slots
            && let Some(slot) = slots.slots.get_mut(&index)
        {
            let before = slot.held();
            let result = change(slot);
            let after = slot.held();
            slots.held = slots.held - before + after;
            if after == 0 {
                self.drop_slot(index, fs);
            }
            return Ok(result);
        }
        let mut slot = Slot::new(fs)?;
        let result = change(&mut slot);
        if slot.held() > 0 {
            let slots = self.slots.get_or_insert_default();
            slots.held += slot.held();
            slots.slots.insert(index, slot);
        } else {
            slot.release(fs);
        }
        Ok(result)
    }

    /// Drops a slot that holds nothing.
    fn drop_slot(&mut self, index: u64, fs: &Shared) {
        let Some(slots) = &mut self.slots else { return };
        if let Some(slot) = slots.slots.remove(&index) {
            slot.release(fs);
        }
        if slots.slots.is_empty() {
            self.slots = None;
        }
    }

    /// Moves what a small file has into a slot, since it is going to be larger.
    pub(super) fn outgrow(&mut self, fs: &Shared) -> Result<()> {
        let bytes = std::mem::take(&mut self.small);
        let len = bytes.bytes().len();
        if bytes.held() == 0 {
            return Ok(());
        }
        // A page takes the place of what is held, which may be reserved only, and is not paid for twice.
        let more = PAGE as u64 - bytes.held();
        let moved = fs.space.take(more).and_then(|()| {
            self.with_slot(0, fs, |slot| {
                slot.reserve(&(0..PAGE));
                slot.write(0, bytes.bytes().into(), fs)
            })
            .inspect_err(|_| fs.space.give(more))
        });
        match moved {
            Ok(written) if written == len => Ok(()),
            failed => {
                if failed.is_ok() {
                    self.release_slots(0, fs);
                    fs.space.take_regardless(bytes.held());
                }
                self.small = bytes;
                Err(Error::NOSPC)
            }
        }
    }

    /// Reads from byte `offset` on; answers how many bytes there were.
    pub(super) fn read_at(&self, mut into: IoTarget<'_>, offset: u64, fs: &Shared) -> Result<usize> {
        let len = within_limits(offset, into.len())?;
        let left = self.size.saturating_sub(offset);
        let len = usize::try_from(left).map_or(len, |left| left.min(len));
        if self.slots.is_none() {
            match usize::try_from(offset) {
                Ok(offset) => self.small.read(offset, &mut into.part(0, len)),
                Err(_) => fill_with_zeros(&mut into.part(0, len)),
            }
            return Ok(len);
        }
        let mut done = 0;
        while done < len {
            let (index, start) = split(offset + done as u64);
            let n = (SLOT - start).min(len - done);
            let mut into = into.part(done, n);
            match self.slot(index) {
                Some(slot) => fs.store.read(slot.id(), start, &mut into)?,
                None => fill_with_zeros(&mut into),
            }
            done += n;
        }
        Ok(len)
    }

    /// Writes at byte `offset`; answers how many bytes there was space for, or `ENOSPC` if for none.
    pub(super) fn write_at(&mut self, from: IoSource<'_>, offset: u64, fs: &Shared) -> Result<usize> {
        let len = within_limits(offset, from.len())?;
        if from.is_empty() {
            return Ok(0);
        }
        if len == 0 {
            return Err(Error::FBIG);
        }
        let from = from.part(0, len);
        let done = match usize::try_from(offset) {
            Ok(start) if self.is_small(offset + len as u64) => self.small.write(start, from, &fs.space),
            _ => self.write_slots(from, offset, fs)?,
        };
        if done == 0 {
            return Err(Error::NOSPC);
        }
        self.extend(offset + done as u64);
        Ok(done)
    }

    fn write_slots(&mut self, from: IoSource<'_>, offset: u64, fs: &Shared) -> Result<usize> {
        self.outgrow(fs)?;
        let mut done = 0;
        while done < from.len() {
            let (index, start) = split(offset + done as u64);
            let wanted = (SLOT - start).min(from.len() - done);
            match self.with_slot(index, fs, |slot| slot.write(start, from.part(done, wanted), fs)) {
                Ok(n) if n == wanted => done += n,
                // What was written counts.
                Ok(n) => return Ok(done + n),
                Err(error) => return if done > 0 { Ok(done) } else { Err(error) },
            }
        }
        Ok(done)
    }

    /// The first byte of data or of a hole from `offset` on. Space that is reserved counts as data.
    pub(super) fn seek(&self, offset: u64, what: SeekTo) -> Result<u64> {
        if offset >= self.size {
            return Err(Error::NXIO);
        }
        let found = match (&self.slots, what) {
            (None, SeekTo::Data) => Some(offset).filter(|offset| *offset < self.small.bytes().len() as u64),
            (None, SeekTo::Hole) => Some(offset.max(self.small.bytes().len() as u64)),
            (Some(slots), SeekTo::Data) => slots.data_from(offset),
            (Some(slots), SeekTo::Hole) => Some(slots.hole_from(offset)),
        };
        match (found, what) {
            (Some(found), _) if found < self.size => Ok(found),
            (_, SeekTo::Data) => Err(Error::NXIO),
            (_, SeekTo::Hole) => Ok(self.size),
        }
    }

    /// Cuts the file off or makes it longer by a hole.
    pub(super) fn set_size(&mut self, size: u64, fs: &Shared) -> Result<()> {
        if size > MAX_SIZE {
            return Err(Error::INVAL);
        }
        if size <= self.size {
            self.cut(size, fs);
        }
        self.size = size;
        Ok(())
    }

    /// Drops all bytes from `size` on, and the space reserved behind.
    fn cut(&mut self, size: u64, fs: &Shared) {
        if let Ok(len) = usize::try_from(size) {
            self.small.cut(len, &fs.space);
        }
        let (index, start) = split(size);
        self.release_slots(if start > 0 { index + 1 } else { index }, fs);
        self.each_slot(&(size..(index + 1) * SLOT as u64), fs, |slot, range| slot.punch(&range, fs));
    }

    /// Drops all slots from `first` on.
    fn release_slots(&mut self, first: u64, fs: &Shared) {
        let Some(slots) = &mut self.slots else { return };
        for slot in slots.slots.split_off(&first).into_values() {
            slots.held -= slot.held();
            slot.release(fs);
        }
        if slots.slots.is_empty() {
            self.slots = None;
        }
    }

    /// Calls `change` with each slot that exists and the part of it that is in `range`.
    pub(super) fn each_slot(
        &mut self,
        range: &Range<u64>,
        fs: &Shared,
        mut change: impl FnMut(&mut Slot, Range<usize>),
    ) {
        let ((first, start), (last, end)) = (split(range.start), split(range.end));
        for index in self.existing(first, last) {
            let start = if index == first { start } else { 0 };
            let end = if index == last { end } else { SLOT };
            if start < end {
                // There is a slot, so none has to be made, which is all that can fail.
                let _ = self.with_slot(index, fs, |slot| change(slot, start..end));
            }
        }
    }

    /// Gives everything back.
    pub(super) fn clear(&mut self, fs: &Shared) {
        self.cut(0, fs);
    }
}
