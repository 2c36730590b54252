//! Memory mappings of files.
#![allow(unsafe_code, reason = "memory mappings are made by addresses")]

use std::fs::File;
use std::ptr::{self, NonNull};

use rustix::mm::{MapFlags, MsyncFlags, ProtFlags, mmap, msync, munmap};

use crate::mount::check::{Expect, Verdict, failed};

/// The beginning of a file, mapped for reading and writing.
#[derive(Debug)]
pub(super) struct Mapping {
    start: NonNull<u8>,
    length: usize,
}

impl Mapping {
    /// Maps the first `length` bytes so that changes are the file's.
    pub(super) fn shared(file: &File, length: usize) -> Verdict<Self> {
        Self::new(file, length, MapFlags::SHARED, "MAP_SHARED")
    }

    /// Maps the first `length` bytes so that changes are this process's own.
    pub(super) fn private(file: &File, length: usize) -> Verdict<Self> {
        Self::new(file, length, MapFlags::PRIVATE, "MAP_PRIVATE")
    }

    fn new(file: &File, length: usize, flags: MapFlags, word: &str) -> Verdict<Self> {
        let operation = format!("mmap({length} bytes, {word})");
        // SAFETY: the kernel chooses a place that nothing else uses.
        let start = unsafe { mmap(ptr::null_mut(), length, ProtFlags::READ | ProtFlags::WRITE, flags, file, 0) };
        let start = start.offered(&operation)?;
        match NonNull::new(start.cast()) {
            Some(start) => Ok(Mapping { start, length }),
            None => failed(operation, "an address", "zero"),
        }
    }

    /// One byte of it. Behind the file's end it ends the process, as mappings do.
    pub(super) fn get(&self, index: usize) -> u8 {
        assert!(index < self.length);
        // SAFETY: in bounds of the mapping. Volatile, because others change the file.
        unsafe { self.start.add(index).read_volatile() }
    }

    /// Changes one byte.
    pub(super) fn set(&mut self, index: usize, byte: u8) {
        assert!(index < self.length);
        // SAFETY: in bounds of the mapping, which is writable.
        unsafe { self.start.add(index).write_volatile(byte) }
    }

    /// Writes changes back to the file.
    pub(super) fn flush(&self) -> Verdict {
        // SAFETY: exactly the mapping.
        unsafe { msync(self.start.as_ptr().cast(), self.length, MsyncFlags::SYNC) }.of("msync(MS_SYNC)")
    }
}

// SAFETY: an address, whose memory belongs to no thread.
unsafe impl Send for Mapping {}

// SAFETY: what is shared can only be read, byte by byte and volatile: as others change the file anyway.
unsafe impl Sync for Mapping {}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: exactly the mapping, and nobody can use it any more.
        _ = unsafe { munmap(self.start.as_ptr().cast(), self.length) };
    }
}
