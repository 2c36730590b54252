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
#[derive(Debug)]
pub struct Window(Arc<Mapping>);

/// The word of a [`Window`] that says who is in control, for others than the one who uses the window.
#[derive(Clone, Debug)]
pub struct StateWord(Arc<Mapping>);

#[derive(Debug)]
struct Mapping {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: the mapping belongs to the process, not to a thread; all access is atomic or through raw copies.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Window {
    /// Bytes in front of the datagram.
    pub const HEADER: usize = 16;

    /// Maps `len` bytes of `memory` from `offset` on.
    ///
    /// The caller has made sure that the file is that long and cannot shrink, or touching the window is fatal (`SIGBUS`).
    pub fn map(memory: impl AsFd, offset: u64, len: usize) -> Result<Self, Ended> {
        if len < rustix::param::page_size() || u32::try_from(len).is_err() {
            return Err(Ended::Protocol("the packet window has an impossible size"));
        }
        if !offset.is_multiple_of(rustix::param::page_size() as u64) {
            return Err(Ended::Protocol("the packet window does not begin at a page"));
        }
        // SAFETY: a new mapping at an address of the kernel's choice touches no memory of ours.
        let start = unsafe {
            mmap(std::ptr::null_mut(), len, ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED, memory, offset)
        }?;
        let start = NonNull::new(start.cast()).ok_or(Errno::NOMEM)?;
        Ok(Window(Arc::new(Mapping { start, len })))
    }

    /// How long a datagram can be, in bytes.
    pub fn capacity(&self) -> usize {
        self.0.len - Self::HEADER
    }

    /// The word that says who is in control.
    pub fn state(&self) -> &AtomicU32 {
        self.0.state()
    }

    /// The same word for somebody else. It keeps the window mapped.
    pub fn state_word(&self) -> StateWord {
        StateWord(self.0.clone())
    }

    /// The word that holds the datagram's length.
    pub fn datagram_len(&self) -> &AtomicU32 {
        // SAFETY: page aligned and four bytes on, mapped as long as `self`, only ever accessed atomically.
        unsafe { AtomicU32::from_ptr(self.0.start.as_ptr().add(4).cast()) }
    }

    /// The datagram from byte `at` on, to take data from.
    ///
    /// # Panics
    ///
    /// If it is longer than the window.
    pub fn source(&self, at: usize, len: usize) -> IoSource<'_> {
        // SAFETY: mapped as long as `self`.
        unsafe { IoSource::from_raw(self.datagram(), self.capacity()) }.part(at, len)
    }

    /// The whole room for a datagram, to put data into.
    pub fn target(&mut self) -> IoTarget<'_> {
        // SAFETY: mapped as long as `self`, which is borrowed exclusively.
        unsafe { IoTarget::from_raw(self.datagram(), self.capacity()) }
    }

    /// The first `at` bytes of the room for a datagram, to put data into, and `len` bytes behind them, to take data from.
    ///
    /// # Panics
    ///
    /// If they are not within the window.
    pub fn split(&mut self, at: usize, len: usize) -> (IoTarget<'_>, IoSource<'_>) {
        assert!(at <= self.capacity() && len <= self.capacity() - at, "part of a packet window out of range");
        // SAFETY: mapped as long as `self`, which is borrowed exclusively, and the two parts do not overlap.
        unsafe { (IoTarget::from_raw(self.datagram(), at), IoSource::from_raw(self.datagram().add(at), len)) }
    }

    fn datagram(&self) -> NonNull<u8> {
        // SAFETY: a window is at least a page long.
        unsafe { self.0.start.add(Self::HEADER) }
    }
}

impl StateWord {
    /// The word.
    pub fn get(&self) -> &AtomicU32 {
        self.0.state()
    }
}

impl Mapping {
    fn state(&self) -> &AtomicU32 {
        // SAFETY: page aligned, mapped as long as `self`, and only ever accessed atomically by either process.
        unsafe { AtomicU32::from_ptr(self.start.as_ptr().cast()) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: this mapping was made by `map` and all borrows of it have ended.
        if let Err(error) = unsafe { munmap(self.start.as_ptr().cast(), self.len) } {
            tracing::error!(%error, "cannot unmap a packet window");
        }
    }
}
