//! The memory of entries.
#![allow(unsafe_code, reason = "the kernel reads and writes it behind the back of the language")]

use std::io;
use std::ptr::NonNull;

use lisafs::iobuf::IoSource;
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};

use crate::fs::fuse::abi::RingHeader;

/// Memory for some entries: their headers, and behind those a payload for each. What is never used takes no room.
#[derive(Debug)]
pub(super) struct Area {
    start: NonNull<u8>,
    len: usize,
    headers: usize,
    count: usize,
    payload: usize,
}

// SAFETY: it owns the memory, which any thread may use.
unsafe impl Send for Area {}
// SAFETY: what of it may be used when is up to the callers of the unsafe functions below.
unsafe impl Sync for Area {}

impl Area {
    /// Memory for `count` entries that have room for `payload` bytes each.
    pub(super) fn new(count: usize, payload: usize) -> io::Result<Self> {
        let page = rustix::param::page_size();
        let payload = payload.next_multiple_of(page);
        let headers = (count * size_of::<RingHeader>()).next_multiple_of(page);
        let len =
            count.checked_mul(payload).and_then(|len| len.checked_add(headers)).ok_or(io::ErrorKind::OutOfMemory)?;
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
        // SAFETY: a mapping where nothing else is.
        let start = unsafe { mmap_anonymous(std::ptr::null_mut(), len, ProtFlags::READ | ProtFlags::WRITE, flags) }?;
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Area { start, len, headers, count, payload })
    }

    /// How many bytes each payload has room for.
    pub(super) fn payload_size(&self) -> usize {
        self.payload
    }

    /// Where the header of entry `index` is.
    pub(super) fn header(&self, index: usize) -> NonNull<RingHeader> {
        assert!(index < self.count, "an entry out of range");
        // SAFETY: within the mapping, as just checked.
        unsafe { self.start.cast::<RingHeader>().add(index) }
    }

    /// Where the payload of entry `index` is.
    pub(super) fn payload(&self, index: usize) -> NonNull<u8> {
        assert!(index < self.count, "an entry out of range");
        // SAFETY: within the mapping, as just checked.
        unsafe { self.start.add(self.headers + index * self.payload) }
    }

    /// The header of entry `index`.
    ///
    /// # Safety
    ///
    /// The entry holds a request, and nobody else changes it meanwhile.
    pub(super) unsafe fn read_header(&self, index: usize) -> RingHeader {
        // SAFETY: the memory is mapped and aligned, any bytes are a header, and nobody else writes them.
        unsafe { self.header(index).read() }
    }

    /// Replaces the header of entry `index`.
    ///
    /// # Safety
    ///
    /// As for [`read_header`](Self::read_header), and nobody else reads it either.
    pub(super) unsafe fn write_header(&self, index: usize, header: RingHeader) {
        // SAFETY: as above.
        unsafe { self.header(index).write(header) }
    }

    /// Copies what the payload of entry `index` begins with.
    ///
    /// # Safety
    ///
    /// As for [`read_header`](Self::read_header).
    pub(super) unsafe fn read_payload(&self, index: usize, to: &mut [u8]) {
        assert!(to.len() <= self.payload, "more than a payload");
        // SAFETY: within the payload, as just checked; `to` is exclusive and so cannot overlap it.
        unsafe { self.payload(index).copy_to_nonoverlapping(NonNull::from(&mut *to).cast(), to.len()) }
    }

    /// Replaces what the payload of entry `index` begins with.
    ///
    /// # Safety
    ///
    /// As for [`write_header`](Self::write_header).
    pub(super) unsafe fn write_payload(&self, index: usize, from: &IoSource<'_>) {
        assert!(from.len() <= self.payload, "more than a payload");
        // SAFETY: within the payload, as just checked, which nobody else uses, and whose bytes are initialised.
        let to = unsafe { NonNull::slice_from_raw_parts(self.payload(index), from.len()).as_mut() };
        from.get(0, to);
    }
}

impl Drop for Area {
    fn drop(&mut self) {
        // SAFETY: nobody has a pointer into it any more. An entry that the kernel still has is of a ring whose thread
        // has ended, and only that thread would have used it.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), self.len) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_do_not_overlap() {
        let area = Area::new(20, 10_000).unwrap();
        assert!(area.payload_size() >= 10_000);
        let bytes: Vec<u8> = (0..=250).cycle().take(area.payload_size()).collect();
        for index in 0..20 {
            // SAFETY: there is no kernel, and no other thread.
            unsafe {
                area.write_header(index, RingHeader { commit: index as u64, ..zerocopy::FromZeros::new_zeroed() });
                area.write_payload(index, &bytes[index..].into());
            }
        }
        for index in 0..20 {
            let mut read = vec![0; bytes.len() - index];
            // SAFETY: as above.
            let header = unsafe {
                area.read_payload(index, &mut read);
                area.read_header(index)
            };
            assert_eq!((header.commit, &read[..]), (index as u64, &bytes[index..]));
        }
    }
}
