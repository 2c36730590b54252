//! The file that a connection's packet windows are parts of.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{
    FallocateFlags, MemfdFlags, SealFlags, fallocate, fcntl_add_seals, fcntl_get_seals, fstat, ftruncate, memfd_create,
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
    pub fn new() -> Result<Self, Errno> {
        let file = memfd_create("lisafs_packet_windows", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::SEAL)?;
        Ok(PacketMemory { file, used: 0, len: 0 })
    }

    /// A new window of zeros for datagrams of up to `capacity` bytes: its offset and length in the file.
    pub fn allocate(&mut self, capacity: usize) -> Result<(u64, usize), Errno> {
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
    pub fn reset(&self, offset: u64, len: usize) -> Result<(), Errno> {
        fallocate(&self.file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, offset, len as u64)
    }

    /// Checks a memory file that a peer has sent: a window of `len` bytes at `offset` must be in it for good.
    pub fn check(file: impl AsFd, offset: u64, len: u64) -> Result<(), Ended> {
        let file = file.as_fd();
        let size = u64::try_from(fstat(file)?.st_size).map_err(|_| Errno::INVAL)?;
        if offset.checked_add(len).is_none_or(|end| end > size) {
            return Err(Ended::Protocol("the packet window is not within its memory file"));
        }
        match fcntl_get_seals(file) {
            Ok(seals) if seals.contains(SealFlags::SHRINK) => Ok(()),
            Ok(_) | Err(_) => Err(Ended::Protocol("the packet window's memory file can shrink")),
        }
    }
}

impl AsFd for PacketMemory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
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
        assert_eq!(PacketMemory::check(&memory, 6 * MIB, 2 * MIB), Ok(()));
        assert!(PacketMemory::check(&memory, 6 * MIB, 2 * MIB + 1).is_err());
        assert!(PacketMemory::check(&memory, u64::MAX, 2).is_err());
    }

    #[test]
    fn a_window_that_is_used_again_is_zero() {
        let mut memory = PacketMemory::new().unwrap();
        let (offset, len) = memory.allocate(100).unwrap();
        let mut window = Window::map(&memory, offset, len).unwrap();
        window.target().put(3, b"x");
        memory.reset(offset, len).unwrap();
        let window = Window::map(&memory, offset, len).unwrap();
        assert!(window.source(0, window.capacity()).to_vec().iter().all(|byte| *byte == 0));
    }

    #[test]
    fn memory_that_can_shrink_is_refused() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(4096).unwrap();
        assert!(PacketMemory::check(&file, 0, 4096).is_err());
    }
}
