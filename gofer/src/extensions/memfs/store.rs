//! Memory for the content of files.
//!
//! It is in files of the kernel's that are nowhere but in memory, not in this process's own. There, memory that was
//! given back by one thread is not of use to the others, nor to the rest of the machine. And data goes between client
//! and file without a detour.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use parking_lot::Mutex;
use rustix::fs::{FallocateFlags, MemfdFlags, fallocate, memfd_create};
use rustix::io::retry_on_intr;

use lisafs::backend::{Error, IoSource, IoTarget, Result};

/// Bytes of content in one slot.
pub(super) const SLOT: usize = 64 << 10;

/// The kernel lets one thread at a time write to a file, so there are several.
const FILES: u32 = 8;

/// Slots of memory, of which any number can be had. What was not written in a slot is zero, and takes no memory.
#[derive(Debug)]
pub(super) struct Store {
    files: [OwnedFd; FILES as usize],
    free: Mutex<Free>,
}

/// Slots that nobody has.
#[derive(Debug, Default)]
struct Free {
    used_before: Vec<SlotId>,
    never_used: u32,
}

/// Names a slot of a [`Store`]. Whoever has it releases it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SlotId(u32);

impl Store {
    /// An empty store.
    pub(super) fn new() -> Result<Self> {
        let file = || memfd_create("memfs", MemfdFlags::CLOEXEC);
        let files = [file()?, file()?, file()?, file()?, file()?, file()?, file()?, file()?];
        Ok(Store { files, free: Mutex::default() })
    }

    /// A slot of zeros.
    pub(super) fn acquire(&self) -> Result<SlotId> {
        let mut free = self.free.lock();
        if let Some(slot) = free.used_before.pop() {
            return Ok(slot);
        }
        let slot = free.never_used;
        free.never_used = slot.checked_add(1).ok_or(Error::NOSPC)?;
        Ok(SlotId(slot))
    }

    /// Gives a slot back, with its memory.
    pub(super) fn release(&self, slot: SlotId) {
        // If the memory cannot be given back, the slot must not be used again: it is not zero.
        if self.punch(&slot, 0, SLOT).is_ok() {
            self.free.lock().used_before.push(slot);
        }
    }

    /// Where a slot is.
    fn place(&self, slot: &SlotId) -> (BorrowedFd<'_>, u64) {
        let file = self.files[(slot.0 % FILES) as usize].as_fd();
        (file, u64::from(slot.0 / FILES) * SLOT as u64)
    }

    /// Reads from position `start` of a slot.
    pub(super) fn read(&self, slot: &SlotId, start: usize, into: &mut IoTarget<'_>) -> Result<()> {
        let (file, base) = self.place(slot);
        let len = into.len();
        let mut done = 0;
        while done < len {
            match into.part(done, len - done).fill_from(file, base + (start + done) as u64)? {
                // The file ends here, so nothing was written behind.
                0 => {
                    fill_with_zeros(&mut into.part(done, len - done));
                    break;
                }
                n => done += n,
            }
        }
        Ok(())
    }

    /// Writes at position `start` of a slot; answers how much memory there was for.
    pub(super) fn write(&self, slot: &SlotId, start: usize, from: IoSource<'_>) -> usize {
        let (file, base) = self.place(slot);
        let mut done = 0;
        while done < from.len() {
            match from.part(done, from.len() - done).drain_to(file, base + (start + done) as u64) {
                Ok(0) | Err(_) => break,
                Ok(n) => done += n,
            }
        }
        done
    }

    /// Makes `len` bytes from position `start` of a slot zero, and gives back the memory of whole pages among them.
    pub(super) fn punch(&self, slot: &SlotId, start: usize, len: usize) -> Result<()> {
        let (file, base) = self.place(slot);
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        Ok(retry_on_intr(|| fallocate(file, flags, base + start as u64, len as u64))?)
    }
}

/// Fills `target` with zeros.
pub(super) fn fill_with_zeros(target: &mut IoTarget<'_>) {
    static ZEROS: [u8; 4096] = [0; 4096];
    let mut done = 0;
    while done < target.len() {
        let n = ZEROS.len().min(target.len() - done);
        target.put(done, &ZEROS[..n]);
        done += n;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(store: &Store, slot: &SlotId, start: usize, len: usize) -> Vec<u8> {
        let mut bytes = vec![0xaa; len];
        store.read(slot, start, &mut bytes.as_mut_slice().into()).unwrap();
        bytes
    }

    #[test]
    fn slots_are_zero_and_apart() {
        let store = Store::new().unwrap();
        let slots: Vec<SlotId> = (0..20).map(|_| store.acquire().unwrap()).collect();
        for (slot, byte) in slots.iter().zip(1..) {
            assert_eq!(store.write(slot, 0, (&[byte; SLOT][..]).into()), SLOT);
        }
        for (slot, byte) in slots.iter().zip(1..) {
            assert_eq!(read(&store, slot, 0, SLOT), [byte; SLOT]);
        }
        store.punch(&slots[9], 10, 5000).unwrap();
        assert_eq!(read(&store, &slots[9], 9, 5002), [&[10][..], &[0; 5000], &[10]].concat());
        slots.into_iter().for_each(|slot| store.release(slot));
        for _ in 0..21 {
            assert_eq!(read(&store, &store.acquire().unwrap(), 0, SLOT), [0; SLOT]);
        }
    }

    #[test]
    fn memory_goes_back_to_the_machine() {
        let store = Store::new().unwrap();
        let held = || store.files.iter().map(|file| rustix::fs::fstat(file).unwrap().st_blocks).sum::<i64>() * 512;
        let slot = store.acquire().unwrap();
        store.write(&slot, 0, (&[1; SLOT][..]).into());
        assert_eq!(held(), 65_536);
        store.punch(&slot, 4096, 8192).unwrap();
        assert_eq!(held(), 57_344);
        store.release(slot);
        assert_eq!(held(), 0);
    }
}
