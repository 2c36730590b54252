//! Descriptors that the process was started with.
#![allow(unsafe_code, reason = "takes ownership of descriptors that are only known by their numbers")]

use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use parking_lot::Mutex;
use rustix::io::Errno;

/// Takes the inherited descriptor `fd`, and makes sure that children do not inherit it again. `EBADF` if it is not open,
/// one of the standard streams, or taken already.
///
/// Call this before the process opens anything: a number that was free at the start could be somebody else's by now.
pub fn take(fd: RawFd) -> Result<OwnedFd, Errno> {
    static TAKEN: Mutex<Vec<RawFd>> = Mutex::new(Vec::new());
    let mut taken = TAKEN.lock();
    if fd <= libc::STDERR_FILENO || taken.contains(&fd) {
        return Err(Errno::BADF);
    }
    // SAFETY: does nothing but look at the number.
    if unsafe { libc::fcntl(fd, libc::F_GETFD) } < 0 {
        return Err(Errno::BADF);
    }
    taken.push(fd);
    // SAFETY: it is open, and the caller calls before anything of this process could own it; nobody takes it twice.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    rustix::io::fcntl_setfd(&fd, rustix::io::FdFlags::CLOEXEC)?;
    Ok(fd)
}
