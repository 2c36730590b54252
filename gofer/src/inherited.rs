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
    let flags = unsafe { libc::fcntl(fd, libc::F_GETFD) };
    // What the process was started with cannot be one that is closed then; what it has opened itself is, as a rule.
    if flags < 0 || flags & libc::FD_CLOEXEC != 0 {
        return Err(Errno::BADF);
    }
    taken.push(fd);
    // SAFETY: it is open and was not opened by this process; nobody takes it twice.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    rustix::io::fcntl_setfd(&fd, rustix::io::FdFlags::CLOEXEC)?;
    Ok(fd)
}

#[cfg(test)]
mod tests {
    use std::os::fd::{AsRawFd, IntoRawFd};

    use rustix::io::{FdFlags, fcntl_setfd};

    use super::*;

    #[test]
    fn what_the_process_has_opened_itself_is_not_taken() {
        let file = tempfile::tempfile().unwrap();
        assert_eq!(take(file.as_raw_fd()).err(), Some(Errno::BADF));
        fcntl_setfd(&file, FdFlags::empty()).unwrap();
        let number = file.into_raw_fd();
        let _taken = take(number).unwrap();
        assert_eq!(take(number).err(), Some(Errno::BADF));
    }
}
