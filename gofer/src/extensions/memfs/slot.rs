//! A piece of a file's content in the store.

use std::ops::Range;

use super::Shared;
use super::store::{SLOT, SlotId};
use lisafs::backend::{IoSource, Result};

/// Bytes of a page, the smallest piece of memory in a slot.
pub(super) const PAGE: usize = 4096;

/// A slot of the store and which of its pages are paid for. The others are zero, and so is a page that is paid for but
/// was never written: its space is reserved.
#[derive(Debug)]
pub(super) struct Slot {
    id: SlotId,
    /// One bit for each page.
    pages: u16,
}

const _: () = assert!(SLOT / PAGE == u16::BITS as usize);

/// The pages that are wholly or partly in `range`.
fn touched(range: &Range<usize>) -> u16 {
    pages(range.start / PAGE..range.end.div_ceil(PAGE))
}

/// The pages that are wholly in `range`.
fn covered(range: &Range<usize>) -> u16 {
    pages(range.start.div_ceil(PAGE)..range.end / PAGE)
}

fn pages(range: Range<usize>) -> u16 {
    range.fold(0, |pages, page| pages | 1 << page)
}

fn bytes(pages: u16) -> u64 {
    u64::from(pages.count_ones()) * PAGE as u64
}

impl Slot {
    /// An empty slot.
    pub(super) fn new(fs: &Shared) -> Result<Self> {
        Ok(Slot { id: fs.store.acquire()?, pages: 0 })
    }

    /// Bytes that are paid for.
    pub(super) fn held(&self) -> u64 {
        bytes(self.pages)
    }

    /// Which bytes it is.
    pub(super) fn id(&self) -> &SlotId {
        &self.id
    }

    /// The first byte from `start` on that is in a page which is paid for, or in one which is not.
    pub(super) fn first_held(&self, start: usize, held: bool) -> Option<usize> {
        let pages = if held { self.pages } else { !self.pages } & touched(&(start..SLOT));
        (pages != 0).then(|| start.max(pages.trailing_zeros() as usize * PAGE))
    }

    /// Bytes of the pages of `range` that are not paid for yet.
    pub(super) fn missing(&self, range: &Range<usize>) -> u64 {
        bytes(touched(range) & !self.pages)
    }

    /// Counts all pages of `range` as paid for, as the caller has done.
    pub(super) fn reserve(&mut self, range: &Range<usize>) {
        self.pages |= touched(range);
    }

    /// Writes `from` at position `start`, and returns how many bytes there was space for.
    pub(super) fn write(&mut self, start: usize, from: IoSource<'_>, fs: &Shared) -> usize {
        let before = self.pages;
        let room = self.pay(&(start..start + from.len()), fs);
        let done = fs.store.write(&self.id, start, from.part(0, room));
        // The machine may have less memory than was promised. Pages of which nothing was written are given back.
        let unused = self.pages & !before & !touched(&(start..start + done));
        if done == 0 || unused != 0 {
            let unused = if done == 0 { self.pages & !before } else { unused };
            self.pages &= !unused;
            fs.space.give(bytes(unused));
        }
        done
    }

    /// Pays for the pages of `range`, as many as can be, and returns how many of its bytes are paid for.
    fn pay(&mut self, range: &Range<usize>, fs: &Shared) -> usize {
        if fs.space.take(self.missing(range)).is_ok() {
            self.reserve(range);
            return range.len();
        }
        let mut end = range.start;
        while end < range.end {
            let next = (end + 1).next_multiple_of(PAGE).min(range.end);
            if fs.space.take(self.missing(&(end..next))).is_err() {
                break;
            }
            self.reserve(&(end..next));
            end = next;
        }
        end - range.start
    }

    /// Makes the bytes of `range` zero and keeps their space.
    pub(super) fn zero(&self, range: &Range<usize>, fs: &Shared) {
        if touched(range) & self.pages == 0 || fs.store.punch(&self.id, range.start, range.len()).is_ok() {
            return;
        }
        // Pages that have no memory are zero as they are; the others have it already.
        fs.store.write(&self.id, range.start, (&[0; SLOT][..range.len()]).into());
    }

    /// Makes the bytes of `range` zero and gives back the space of the pages that are wholly in it.
    pub(super) fn punch(&mut self, range: &Range<usize>, fs: &Shared) {
        self.zero(range, fs);
        let gone = covered(range) & self.pages;
        self.pages &= !gone;
        fs.space.give(bytes(gone));
    }

    /// Gives everything back.
    pub(super) fn release(self, fs: &Shared) {
        fs.space.give(self.held());
        fs.store.release(self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extensions::memfs::{MemFs, MemOptions};

    #[test]
    fn pages_are_paid_for_as_they_are_touched() {
        let options = MemOptions { size: Some(5 * PAGE as u64 + 7), ..MemOptions::default() };
        let fs = MemFs::new(options).unwrap().root.fs().clone();
        let mut slot = Slot::new(&fs).unwrap();
        let content = [1; SLOT];
        assert_eq!(slot.write(PAGE - 1, (&content[..2]).into(), &fs), 2);
        assert_eq!((slot.held(), fs.space.used().0), (8192, 8192));
        assert_eq!(slot.write(5 * PAGE, (&content[..PAGE]).into(), &fs), PAGE);
        // There is space for two pages, and the next is there already.
        assert_eq!(slot.write(3 * PAGE + 5, (&content[..10 * PAGE]).into(), &fs), 3 * PAGE - 5);
        assert_eq!(slot.held(), 5 * PAGE as u64);
        assert_eq!(slot.write(10 * PAGE, (&content[..1]).into(), &fs), 0);
        // Pages 0 and 3 are needed for what is around.
        slot.punch(&(PAGE - 1..4 * PAGE - 1), &fs);
        assert_eq!((slot.held(), fs.space.used().0), (4 * PAGE as u64, 4 * PAGE as u64));
        slot.release(&fs);
        assert_eq!(fs.space.used().0, 0);
    }

    #[test]
    fn ranges_touch_and_cover_pages() {
        assert_eq!((touched(&(0..1)), covered(&(0..1))), (1, 0));
        assert_eq!((touched(&(1..PAGE)), covered(&(1..PAGE))), (1, 0));
        assert_eq!((touched(&(0..SLOT)), covered(&(0..SLOT))), (0xffff, 0xffff));
        assert_eq!((touched(&(1..2 * PAGE + 1)), covered(&(1..2 * PAGE + 1))), (0b111, 0b10));
        assert_eq!((touched(&(5..5)), covered(&(5..5))), (1, 0));
    }
}
