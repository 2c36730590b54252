//! The memory of one channel.
#![allow(unsafe_code, reason = "maps memory that is shared with the peer, and copies in and out of it")]

use std::os::fd::AsFd;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

use super::Ended;
use crate::iobuf::{IoSource, IoTarget};

/// A mapped packet window: two words that pass control back and forth, and a datagram.
///
/// | offset | bytes | content |
/// |---|---|---|
/// | 0 | 4 | who is in control, also the futex that the other end sleeps on |
/// | 4 | 4 | length of the datagram |
/// | 8 | 8 | reserved |
/// | 16 | .. | the datagram |
///
/// It is made by [`PacketMemory`](super::PacketMemory) and [`PeerMemory`](super::PeerMemory), which know that the
/// memory stays.
#[derive(Debug)]
pub struct Window {
    mapping: Arc<Mapping>,
}

/// The memory itself. Others than the window only ever touch its [state](Self::state).
#[derive(Debug)]
pub(super) struct Mapping {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: the mapping belongs to the process, not to a thread; all access is atomic or through raw copies.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// The word that says who is in control.
    pub(super) fn state(&self) -> &AtomicU32 {
        // SAFETY: page aligned, mapped as long as `self`, and only ever accessed atomically by either process.
        unsafe { AtomicU32::from_ptr(self.start.as_ptr().cast()) }
    }
}

impl Window {
    /// Bytes in front of the datagram.
    pub const HEADER: usize = 16;

    /// Maps `len` bytes of `memory` from `offset` on.
    ///
    /// # Safety
    ///
    /// The file has these bytes for good: it cannot shrink, nor run out of room for them. Touching the window is fatal
    /// otherwise (`SIGBUS`). Whoever else maps them in this process does so as a window.
    pub(super) unsafe fn map(memory: impl AsFd, offset: u64, len: usize) -> Result<Self, Ended> {
        if len < rustix::param::page_size() || u32::try_from(len).is_err() {
            return Err(Ended::Protocol("the packet window has an invalid size"));
        }
        if !offset.is_multiple_of(rustix::param::page_size() as u64) {
            return Err(Ended::Protocol("the packet window does not begin at a page"));
        }
        // SAFETY: a new mapping at an address of the kernel's choice touches no memory of ours.
        let start = unsafe {
            mmap(std::ptr::null_mut(), len, ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED, memory, offset)
        }?;
        let start = NonNull::new(start.cast()).ok_or(Errno::NOMEM)?;
        Ok(Window { mapping: Arc::new(Mapping { start, len }) })
    }

    /// Both ends of one window in memory of this process: all that Miri knows how to map.
    #[cfg(test)]
    pub(super) fn pair() -> (Window, Window) {
        let len = rustix::param::page_size();
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice touches no memory of ours.
        let start =
            unsafe { rustix::mm::mmap_anonymous(std::ptr::null_mut(), len, access, MapFlags::PRIVATE) }.unwrap();
        let mapping = Arc::new(Mapping { start: NonNull::new(start.cast()).unwrap(), len });
        (Window { mapping: mapping.clone() }, Window { mapping })
    }

    /// How long a datagram can be, in bytes.
    pub fn capacity(&self) -> usize {
        self.mapping.len - Self::HEADER
    }

    /// The word that says who is in control.
    pub fn state(&self) -> &AtomicU32 {
        self.mapping.state()
    }

    /// What [`state`](Self::state) is part of, for those who want to change it after the window has gone.
    pub(super) fn mapping(&self) -> &Arc<Mapping> {
        &self.mapping
    }

    /// The word that holds the datagram's length.
    pub fn datagram_len(&self) -> &AtomicU32 {
        // SAFETY: aligned, mapped as long as `self`, and only ever accessed atomically by either process.
        unsafe { AtomicU32::from_ptr(self.mapping.start.as_ptr().add(4).cast()) }
    }

    /// The datagram from byte `at` on, to take data from.
    ///
    /// # Panics
    ///
    /// If it is longer than the window.
    pub fn source(&self, at: usize, len: usize) -> IoSource<'_> {
        // SAFETY: mapped as long as `self`.
        unsafe { IoSource::from_raw(self.mapping.start.add(Self::HEADER), self.capacity()) }.part(at, len)
    }

    /// The whole room for a datagram, to put data into.
    pub fn target(&mut self) -> IoTarget<'_> {
        // SAFETY: mapped as long as `self`, which is borrowed exclusively.
        unsafe { IoTarget::from_raw(self.mapping.start.add(Self::HEADER), self.capacity()) }
    }

    /// The first `at` bytes of the room for a datagram, to put data into, and `len` bytes behind them, to take data
    /// from.
    ///
    /// # Panics
    ///
    /// If they are not within the window.
    pub fn split(&mut self, at: usize, len: usize) -> (IoTarget<'_>, IoSource<'_>) {
        assert!(at <= self.capacity() && len <= self.capacity() - at, "part of a packet window out of range");
        // SAFETY: within the mapping, as just checked.
        let (start, rest) = unsafe {
            let start = self.mapping.start.add(Self::HEADER);
            (start, start.add(at))
        };
        // SAFETY: mapped as long as `self`, which is borrowed exclusively, and the two parts do not overlap.
        unsafe { (IoTarget::from_raw(start, at), IoSource::from_raw(rest, len)) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: this mapping was made by `Window::map` and all borrows of it have ended.
        if let Err(error) = unsafe { munmap(self.start.as_ptr().cast(), self.len) } {
            tracing::error!(%error, "cannot unmap a packet window");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_end_puts_the_other_gets() {
        let (mut one, other) = Window::pair();
        one.target().put(3, b"hello");
        assert_eq!(other.source(2, 7).to_vec(), b"\0hello\0");
        let (mut start, rest) = one.split(8, 4);
        start.put(0, b"12345678");
        assert_eq!(rest.to_vec(), [0; 4]);
        drop(one);
        let last = other.capacity() - 1;
        assert_eq!(other.source(last, 1).to_vec(), [0]);
        assert_eq!(other.source(0, 8).to_vec(), b"12345678");
    }

    #[test]
    #[should_panic(expected = "out of range")]
    fn nothing_is_beyond_the_end() {
        let (mut one, _other) = Window::pair();
        let capacity = one.capacity();
        one.split(capacity, 1);
    }
}
