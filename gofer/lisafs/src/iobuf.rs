//! Memory that file data moves through.
//!
//! It may be shared with another process that changes it at any time, so it is never seen as a slice: bytes are copied
//! in or out by accesses that the compiler neither splits nor repeats, or a raw system call moves them between this
//! memory and a file. That is all the unsafe code here does.
#![allow(unsafe_code, reason = "raw copies and system calls on memory that a peer can write")]

mod copy;

use std::marker::PhantomData;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;

use crate::errno::Errno;

/// Memory to put data into: the destination of a read.
#[derive(Debug)]
pub struct IoTarget<'a> {
    start: NonNull<u8>,
    len: usize,
    memory: PhantomData<&'a mut [u8]>,
}

/// Memory to take data from: the source of a write.
#[derive(Clone, Copy, Debug)]
pub struct IoSource<'a> {
    start: NonNull<u8>,
    len: usize,
    memory: PhantomData<&'a [u8]>,
}

// SAFETY: both are views of memory that stays mapped for 'a, and nothing in them is tied to a thread.
unsafe impl Send for IoTarget<'_> {}
// SAFETY: as above.
unsafe impl Send for IoSource<'_> {}
// SAFETY: the memory is only read through it, which others may do at once.
unsafe impl Sync for IoSource<'_> {}

impl<'a> IoTarget<'a> {
    /// A view of `len` bytes at `start`.
    ///
    /// # Safety
    ///
    /// The bytes must be mapped and writable for `'a`, and no reference to them may exist in this process meanwhile.
    /// Who else uses them is another process, or does it through such views.
    pub unsafe fn from_raw(start: NonNull<u8>, len: usize) -> Self {
        IoTarget { start, len, memory: PhantomData }
    }

    /// How many bytes there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no byte.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The same memory, for a shorter time.
    pub fn reborrow(&mut self) -> IoTarget<'_> {
        IoTarget { start: self.start, len: self.len, memory: PhantomData }
    }

    /// The part from byte `start` on, `len` bytes long.
    ///
    /// # Panics
    ///
    /// If the part is not within this memory.
    pub fn part(&mut self, start: usize, len: usize) -> IoTarget<'_> {
        assert!(start <= self.len && len <= self.len - start, "part of I/O memory out of range");
        // SAFETY: within the memory, as just checked.
        IoTarget { start: unsafe { self.start.add(start) }, len, memory: PhantomData }
    }

    /// The part from byte `start` on, `len` bytes long, for as long as all of it.
    ///
    /// # Panics
    ///
    /// If the part is not within this memory.
    #[must_use]
    pub fn into_part(self, start: usize, len: usize) -> Self {
        assert!(start <= self.len && len <= self.len - start, "part of I/O memory out of range");
        // SAFETY: within the memory, as just checked.
        IoTarget { start: unsafe { self.start.add(start) }, len, memory: PhantomData }
    }

    /// The parts before and from byte `at` on, which two threads can fill.
    ///
    /// # Panics
    ///
    /// If there are not that many bytes.
    pub fn split_at(self, at: usize) -> (Self, Self) {
        assert!(at <= self.len, "split of I/O memory out of range");
        // SAFETY: within the memory, as just checked; the two do not overlap, and nobody else has this view any more.
        let back = IoTarget { start: unsafe { self.start.add(at) }, len: self.len - at, memory: PhantomData };
        (IoTarget { len: at, ..self }, back)
    }

    /// Copies `bytes` to position `at`.
    ///
    /// # Panics
    ///
    /// If they do not fit there.
    pub fn put(&mut self, at: usize, bytes: &[u8]) {
        assert!(at <= self.len && bytes.len() <= self.len - at, "copy into I/O memory out of range");
        // SAFETY: the range is mapped and writable, and `bytes` cannot overlap memory without references to it.
        unsafe { copy::to_shared(self.start.add(at).as_ptr(), bytes) }
    }

    /// Fills the memory with data of `fd` from `offset` on, in one `pread`.
    pub fn fill_from(&mut self, fd: BorrowedFd<'_>, offset: u64) -> Result<usize, Errno> {
        let offset = i64::try_from(offset).map_err(|_| Errno::INVAL)?;
        loop {
            // SAFETY: the kernel writes at most `len` bytes to memory that is mapped and writable.
            let n = unsafe { libc::pread64(fd.as_raw_fd(), self.start.as_ptr().cast(), self.len, offset) };
            match transferred(n) {
                Err(Errno::INTR) => {}
                result => return result,
            }
        }
    }
}

impl<'a> From<&'a mut [u8]> for IoTarget<'a> {
    fn from(bytes: &'a mut [u8]) -> Self {
        IoTarget { len: bytes.len(), start: NonNull::from(bytes).cast(), memory: PhantomData }
    }
}

impl<'a> IoSource<'a> {
    /// A view of `len` bytes at `start`.
    ///
    /// # Safety
    ///
    /// The bytes must be mapped and readable for `'a`. Who changes them meanwhile is another process, or does it
    /// through an [`IoTarget`].
    pub unsafe fn from_raw(start: NonNull<u8>, len: usize) -> Self {
        IoSource { start, len, memory: PhantomData }
    }

    /// How many bytes there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no byte.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The part from byte `start` on, `len` bytes long.
    ///
    /// # Panics
    ///
    /// If the part is not within this memory.
    pub fn part(&self, start: usize, len: usize) -> IoSource<'a> {
        assert!(start <= self.len && len <= self.len - start, "part of I/O memory out of range");
        // SAFETY: within the memory, as just checked.
        IoSource { start: unsafe { self.start.add(start) }, len, memory: PhantomData }
    }

    /// Copies the bytes from position `at` on into `to`, as many as it takes.
    ///
    /// # Panics
    ///
    /// If there are not that many.
    pub fn get(&self, at: usize, to: &mut [u8]) {
        assert!(at <= self.len && to.len() <= self.len - at, "copy out of I/O memory out of range");
        // SAFETY: the range is mapped and readable, and `to` is exclusive and so cannot overlap it.
        unsafe { copy::from_shared(self.start.add(at).as_ptr(), to) }
    }

    /// All bytes in private memory.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.len];
        self.get(0, &mut bytes);
        bytes
    }

    /// Writes the bytes to `fd` at `offset`, in one `pwrite`.
    pub fn drain_to(&self, fd: BorrowedFd<'_>, offset: u64) -> Result<usize, Errno> {
        let offset = i64::try_from(offset).map_err(|_| Errno::INVAL)?;
        loop {
            // SAFETY: the kernel reads at most `len` bytes of memory that is mapped and readable.
            let n = unsafe { libc::pwrite64(fd.as_raw_fd(), self.start.as_ptr().cast(), self.len, offset) };
            match transferred(n) {
                Err(Errno::INTR) => {}
                result => return result,
            }
        }
    }

    /// Writes `header` and then the bytes to `fd`, in one `writev`, and says how many bytes it took in all.
    pub fn send_behind(&self, header: &[u8], fd: BorrowedFd<'_>) -> Result<usize, Errno> {
        let part = |start: *const u8, len| libc::iovec { iov_base: start.cast_mut().cast(), iov_len: len };
        let parts = [part(header.as_ptr(), header.len()), part(self.start.as_ptr(), self.len)];
        loop {
            // SAFETY: the kernel reads as many bytes as each part has, of a slice and of memory that is mapped and
            // readable.
            let n = unsafe { libc::writev(fd.as_raw_fd(), parts.as_ptr(), 2) };
            match transferred(n) {
                Err(Errno::INTR) => {}
                result => return result,
            }
        }
    }
}

impl<'a> From<&'a [u8]> for IoSource<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        IoSource { len: bytes.len(), start: NonNull::from(bytes).cast(), memory: PhantomData }
    }
}

/// The result of a read or write in Rust's terms.
fn transferred(n: isize) -> Result<usize, Errno> {
    usize::try_from(n).map_err(|_| Errno::last_os_error())
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn data_goes_to_a_file_and_back() {
        let file = tempfile::tempfile().unwrap();
        assert_eq!(IoSource::from(&b"hello"[..]).part(1, 4).drain_to(file.as_fd(), 3), Ok(4));
        let mut bytes = [0xff; 10];
        assert_eq!(IoTarget::from(&mut bytes[..]).fill_from(file.as_fd(), 2), Ok(5));
        assert_eq!(&bytes[..6], b"\0ello\xff");
    }

    #[test]
    fn a_header_goes_in_front_of_data() {
        let file = tempfile::tempfile().unwrap();
        assert_eq!(IoSource::from(&b"hello"[..]).part(1, 4).send_behind(b"head ", file.as_fd()), Ok(9));
        let mut bytes = [0; 9];
        assert_eq!(IoTarget::from(&mut bytes[..]).fill_from(file.as_fd(), 0), Ok(9));
        assert_eq!(&bytes, b"head ello");
    }

    #[test]
    fn an_offset_beyond_the_kernels_is_refused() {
        let file = tempfile::tempfile().unwrap();
        assert_eq!(IoSource::from(&b"x"[..]).drain_to(file.as_fd(), u64::MAX), Err(Errno::INVAL));
        assert_eq!(IoTarget::from(&mut [0][..]).fill_from(file.as_fd(), 1 << 63), Err(Errno::INVAL));
    }

    #[test]
    fn two_parts_are_filled_apart() {
        let mut bytes = [0; 5];
        let (mut front, mut back) = IoTarget::from(&mut bytes[..]).split_at(2);
        std::thread::scope(|scope| {
            scope.spawn(move || back.put(0, b"llo"));
            front.put(0, b"he");
        });
        assert_eq!(&bytes, b"hello");
        let (front, back) = IoTarget::from(&mut bytes[..]).split_at(5);
        assert!(front.len() == 5 && back.is_empty());
    }

    #[test]
    #[should_panic(expected = "out of range")]
    fn a_copy_that_does_not_fit_panics() {
        IoTarget::from(&mut [0; 4][..]).put(2, &[0; 3]);
    }
}
