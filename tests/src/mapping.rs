//! A shared memory map of a file.

use std::fs::File;
use std::ptr::{self, NonNull};

use anyhow::{Context, Result};
use rustix::mm::{MapFlags, MsyncFlags, ProtFlags, mmap, msync, munmap};

/// The whole of a file, mapped shared for reading and writing.
#[derive(Debug)]
pub struct Mapping {
    start: NonNull<u8>,
    length: usize,
}

impl Mapping {
    /// Maps the first `length` bytes, which must exist.
    pub fn new(file: &File, length: usize) -> Result<Self> {
        // SAFETY: the kernel chooses a place that nothing else uses.
        let start = unsafe {
            mmap(ptr::null_mut(), length, ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED, file, 0)
                .context("mmap")?
        };
        Ok(Self { start: NonNull::new(start.cast()).context("mapped at zero")?, length })
    }

    /// One byte of it.
    #[must_use]
    pub fn get(&self, index: usize) -> u8 {
        assert!(index < self.length);
        // SAFETY: in bounds of the map. Volatile, because others change the file.
        unsafe { self.start.add(index).read_volatile() }
    }

    /// Changes one byte.
    pub fn set(&mut self, index: usize, byte: u8) {
        assert!(index < self.length);
        // SAFETY: in bounds of the map, which is writable.
        unsafe { self.start.add(index).write_volatile(byte) }
    }

    /// Writes changes back to the file.
    pub fn flush(&self) -> Result<()> {
        // SAFETY: exactly the map.
        unsafe { msync(self.start.as_ptr().cast(), self.length, MsyncFlags::SYNC) }.context("msync")
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: exactly the map, and nobody can use it any more.
        _ = unsafe { munmap(self.start.as_ptr().cast(), self.length) };
    }
}
