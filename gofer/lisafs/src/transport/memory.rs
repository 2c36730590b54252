//! The file that a connection's packet windows are parts of.
//!
//! Only memory that stays becomes a window: a file of our own, which is sealed from the beginning, or one of a peer's
//! that was checked for it.
#![allow(unsafe_code, reason = "vouches for memory that windows are mapped from")]

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{
    FallocateFlags, MemfdFlags, SealFlags, fallocate, fcntl_add_seals, fcntl_get_seals, fstat, fstatfs, ftruncate,
    memfd_create,
};
use rustix::io::Errno;

use super::{Ended, Window};

/// Hands out packet windows of one sealed memory file. Windows whose channel has ended are used again.
#[derive(Debug)]
pub struct PacketMemory {
    file: OwnedFd,
    used: u64,
    len: u64,
}

impl PacketMemory {
    /// An empty file that can grow but not shrink.
    pub fn new() -> Result<Self, crate::Errno> {
        let file = memfd_create("lisafs_packet_windows", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::SEAL)?;
        Ok(PacketMemory { file, used: 0, len: 0 })
    }

    /// A new window of zeros for datagrams of up to `capacity` bytes: its offset and length in the file.
    pub fn allocate(&mut self, capacity: usize) -> Result<(u64, usize), crate::Errno> {
        let page = rustix::param::page_size();
        let len = capacity.checked_add(Window::HEADER).ok_or(Errno::NOMEM)?.next_multiple_of(page);
        let offset = self.used;
        let end = offset + len as u64;
        if end > self.len {
            let len = end.next_power_of_two();
            ftruncate(&self.file, len)?;
            self.len = len;
        }
        self.used = end;
        Ok((offset, len))
    }

    /// Makes a window whose channel has ended one of zeros again, and gives its memory back until it is used.
    pub fn reset(&self, offset: u64, len: usize) -> Result<(), crate::Errno> {
        Ok(fallocate(&self.file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, offset, len as u64)?)
    }

    /// Maps a window that was [allocated](Self::allocate).
    pub fn window(&self, offset: u64, len: usize) -> Result<Window, Ended> {
        if !is_within(offset, len, self.used) {
            return Err(Ended::Protocol(OUTSIDE));
        }
        // SAFETY: the file has been made this large, is sealed against shrinking, and is plain memory.
        unsafe { Window::map(&self.file, offset, len) }
    }
}

const OUTSIDE: &str = "the packet window is not within its memory file";

fn is_within(offset: u64, len: usize, size: u64) -> bool {
    u64::try_from(len).ok().and_then(|len| offset.checked_add(len)).is_some_and(|end| end <= size)
}

impl AsFd for PacketMemory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// A memory file that a peer has sent, and that cannot be taken away from under a window.
#[derive(Debug)]
pub struct PeerMemory {
    file: OwnedFd,
}

impl PeerMemory {
    /// Checks `file`: it must be sealed against shrinking, and be plain memory. Of huge pages, for one, there are only
    /// so many, and those that a peer gives back cannot be had again.
    pub fn new(file: OwnedFd) -> Result<Self, Ended> {
        const TMPFS: i64 = 0x0102_1994;
        match fcntl_get_seals(&file) {
            Ok(seals) if seals.contains(SealFlags::SHRINK) => {}
            Ok(_) | Err(_) => return Err(Ended::Protocol("the packet window's memory file can shrink")),
        }
        if fstatfs(&file)?.f_type != TMPFS {
            return Err(Ended::Protocol("the packet window's memory file is not plain memory"));
        }
        Ok(PeerMemory { file })
    }

    /// Maps the window of `len` bytes at `offset`, which must be within the file.
    pub fn window(&self, offset: u64, len: usize) -> Result<Window, Ended> {
        let size = u64::try_from(fstat(&self.file)?.st_size).map_err(|_| Errno::INVAL)?;
        if !is_within(offset, len, size) {
            return Err(Ended::Protocol(OUTSIDE));
        }
        // SAFETY: the file is this large, and was found to be sealed against shrinking and plain memory.
        unsafe { Window::map(&self.file, offset, len) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The offsets and file sizes that the stock server was seen to use.
    #[test]
    fn windows_lie_one_behind_the_other() {
        let capacity = 4 + crate::wire::STOCK_MAX_MESSAGE_SIZE as usize;
        let mut memory = PacketMemory::new().unwrap();
        const MIB: u64 = 1 << 20;
        for (offset, size) in [(0, 2 * MIB), (2 * MIB, 4 * MIB), (4 * MIB, 8 * MIB), (6 * MIB, 8 * MIB)] {
            assert_eq!(memory.allocate(capacity), Ok((offset, 2 << 20)));
            assert_eq!(u64::try_from(fstat(&memory).unwrap().st_size), Ok(size));
        }
        assert_eq!(fcntl_get_seals(&memory).unwrap(), SealFlags::SHRINK | SealFlags::SEAL);
        let sent = PeerMemory::new(memory.as_fd().try_clone_to_owned().unwrap()).unwrap();
        for (offset, len, is_there) in [(6 * MIB, 2 << 20, true), (6 * MIB, (2 << 20) + 1, false), (u64::MAX, 2, false)]
        {
            assert_eq!(sent.window(offset, len).is_ok(), is_there);
            assert_eq!(memory.window(offset, len).is_ok(), is_there);
        }
    }

    #[test]
    fn a_window_that_is_used_again_is_zero() {
        let mut memory = PacketMemory::new().unwrap();
        let (offset, len) = memory.allocate(100).unwrap();
        let mut window = memory.window(offset, len).unwrap();
        window.target().put(3, b"x");
        memory.reset(offset, len).unwrap();
        let window = memory.window(offset, len).unwrap();
        assert!(window.source(0, window.capacity()).to_vec().iter().all(|byte| *byte == 0));
    }

    #[test]
    fn only_what_was_allocated_is_mapped() {
        let mut memory = PacketMemory::new().unwrap();
        assert!(memory.window(0, 4096).is_err());
        let (offset, len) = memory.allocate(100).unwrap();
        assert!(memory.window(offset, len).is_ok());
        assert!(memory.window(offset, len + 1).is_err());
    }

    #[test]
    fn memory_that_can_go_away_is_refused() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(1 << 21).unwrap();
        let memfd = |flags| {
            let memory = memfd_create("test", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING | flags).unwrap();
            ftruncate(&memory, 1 << 21).unwrap();
            memory
        };
        let huge = memfd(MemfdFlags::HUGETLB);
        fcntl_add_seals(&huge, SealFlags::SHRINK).unwrap();
        let plain = memfd(MemfdFlags::empty());
        for file in [file.into(), huge, plain.try_clone().unwrap()] {
            assert!(matches!(PeerMemory::new(file), Err(Ended::Protocol(_))));
        }
        fcntl_add_seals(&plain, SealFlags::SHRINK).unwrap();
        assert!(PeerMemory::new(plain).is_ok());
    }

    /// Two ends in one process, of which one does not keep to the rules: what it reads may be anything, and nothing
    /// else goes wrong.
    #[test]
    fn both_sides_of_a_window_may_write_at_once() {
        let mut memory = PacketMemory::new().unwrap();
        let (offset, len) = memory.allocate(3000).unwrap();
        let (one, mut other) = (memory.window(offset, len).unwrap(), memory.window(offset, len).unwrap());
        std::thread::scope(|scope| {
            scope.spawn(move || {
                (0..1000).for_each(|round| other.target().put(1, &[if round % 2 == 0 { 1 } else { 255 }; 3000]));
            });
            for _ in 0..1000 {
                let seen = one.source(1, 3000).to_vec();
                assert!(seen.iter().all(|byte| *byte == 0 || byte & 1 == 1));
            }
        });
    }
}
