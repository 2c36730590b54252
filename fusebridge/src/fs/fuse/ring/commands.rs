//! One thread's ring, and what it asks the kernel for there.
#![allow(unsafe_code, reason = "the kernel uses what the requests in a ring point to")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;

use io_uring::squeue::Entry128;
use io_uring::{IoUring, cqueue, opcode, types};
use zerocopy::IntoBytes;

use super::entry::Entry;
use crate::fs::fuse::abi::{RingCommand, RingHeader, ring};

/// Where an entry is, as the kernel wants to be told.
#[derive(Debug)]
pub(super) struct Parts([libc::iovec; 2]);

// SAFETY: only the kernel follows these pointers.
unsafe impl Send for Parts {}
// SAFETY: as above.
unsafe impl Sync for Parts {}

impl Parts {
    /// An entry's header, and its payload of `len` bytes.
    pub(super) fn new(header: NonNull<RingHeader>, payload: NonNull<u8>, len: usize) -> Self {
        let header = libc::iovec { iov_base: header.as_ptr().cast(), iov_len: size_of::<RingHeader>() };
        Parts([header, libc::iovec { iov_base: payload.as_ptr().cast(), iov_len: len }])
    }

    fn address(&self) -> u64 {
        self.0.as_ptr().addr() as u64
    }
}

/// Stands where the number of an entry does: the bell has rung.
pub(super) const BELL: u64 = u64::MAX;

/// The place of the device among the files of a ring.
const DEVICE: types::Fixed = types::Fixed(0);

/// A ring. The kernel runs what it has to do for it only in its thread, and only while that waits here: never in the
/// midst of something else, which that would interrupt.
pub(super) struct Commands {
    ring: IoUring<Entry128, cqueue::Entry>,
}

impl Commands {
    /// The ring of this thread, for up to `answers` entries of the connection over `device`.
    pub(super) fn new(device: BorrowedFd<'_>, answers: u32) -> io::Result<Self> {
        Self::build(device, answers, false)
    }

    /// A ring of the thread that calls [`enable`](Self::enable) on it.
    pub(super) fn disabled(device: BorrowedFd<'_>, answers: u32) -> io::Result<Self> {
        Self::build(device, answers, true)
    }

    fn build(device: BorrowedFd<'_>, answers: u32, is_disabled: bool) -> io::Result<Self> {
        /// Requests that are submitted at once.
        const MOST: u32 = 128;
        let mut builder = IoUring::builder();
        builder.setup_single_issuer().setup_defer_taskrun().setup_submit_all().setup_cqsize(answers.max(2)).dontfork();
        if is_disabled {
            builder.setup_r_disabled();
        }
        let ring = builder.build(answers.clamp(1, MOST))?;
        // Looked up once, not for each request.
        ring.submitter().register_files(&[device.as_raw_fd()])?;
        Ok(Commands { ring })
    }

    /// Makes it the ring of this thread.
    pub(super) fn enable(&self) -> io::Result<()> {
        self.ring.submitter().register_enable_rings()
    }

    /// Gives `entry` to the kernel, which answers when it holds a request.
    pub(super) fn register(&mut self, entry: &Entry) -> io::Result<()> {
        let mut command = command(ring::REGISTER, entry.queue(), 0, Some(entry.parts().address()));
        // The number of parts. The library has no name for the place, which is the same in all requests.
        // SAFETY: `struct io_uring_sqe` has its member `len` there, a number.
        unsafe { (&raw mut command).cast::<u32>().add(6).write(2) };
        self.push(&command.user_data(entry.id() as u64))
    }

    /// Has the kernel take the answer that `entry` holds; it answers when that holds another request.
    pub(super) fn commit(&mut self, entry: &Entry) -> io::Result<()> {
        let command = command(ring::COMMIT_AND_FETCH, entry.queue(), entry.commit(), None);
        self.push(&command.user_data(entry.id() as u64))
    }

    /// Makes a request that the kernel refuses, whereupon it sends requests over the device. Before any entry is
    /// registered.
    pub(super) fn give_up(&mut self) -> io::Result<()> {
        let command = command(ring::REGISTER, u16::MAX, 0, None);
        self.push(&command.user_data(BELL))?;
        self.wait()
    }

    /// Answers [`BELL`] once when there is something to read from `bell`, which must stay open.
    pub(super) fn listen(&mut self, bell: BorrowedFd<'_>) -> io::Result<()> {
        let readable = u32::from(libc::POLLIN.cast_unsigned());
        self.push(&opcode::PollAdd::new(types::Fd(bell.as_raw_fd()), readable).build().user_data(BELL).into())
    }

    fn push(&mut self, request: &Entry128) -> io::Result<()> {
        // SAFETY: what it points to is an entry's, whose memory stays for as long as the kernel may use it.
        if unsafe { self.ring.submission().push(request) }.is_ok() {
            return Ok(());
        }
        self.submit()?;
        // SAFETY: as above.
        unsafe { self.ring.submission().push(request) }.map_err(io::Error::other)
    }

    /// Submits what was asked for.
    pub(super) fn submit(&mut self) -> io::Result<()> {
        retry(|| self.ring.submit())
    }

    /// Submits what was asked for, and waits until something is answered.
    pub(super) fn wait(&mut self) -> io::Result<()> {
        retry(|| self.ring.submit_and_wait(1))
    }

    /// The next answer: the number of an entry, and 0 or the number of an error. `None`: there is none yet.
    pub(super) fn next(&mut self) -> Option<(u64, i32)> {
        self.ring.completion().next().map(|answer| (answer.user_data(), answer.result()))
    }
}

/// `call`, until no signal has interrupted it.
fn retry(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<()> {
    loop {
        match call() {
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn command(kind: u32, queue: u16, commit: u64, address: Option<u64>) -> Entry128 {
    let content = RingCommand { flags: 0, commit, queue, padding: [0; 6] };
    let mut bytes = [0; 80];
    bytes[..size_of::<RingCommand>()].copy_from_slice(content.as_bytes());
    opcode::UringCmd80::new(DEVICE, kind).cmd(bytes).addr(address).build()
}
