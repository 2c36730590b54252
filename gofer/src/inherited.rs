//! Descriptors that the process was started with.
//!
//! Whoever starts a process tells it the numbers of descriptors, and a number alone says nothing about who owns it. So
//! the numbers that are open are noted before anything in the program runs: what is noted belongs to nobody until it is
//! taken here, and what was opened later is never taken.
#![allow(unsafe_code, reason = "takes ownership of descriptors that are only known by their numbers")]

use std::collections::BTreeSet;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use parking_lot::Mutex;
use rustix::fs::{Mode, OFlags};
use rustix::io::{Errno, FdFlags, fcntl_dupfd_cloexec, fcntl_setfd};

/// Those that were open at the start and have not been taken.
static UNTAKEN: Mutex<BTreeSet<RawFd>> = Mutex::new(BTreeSet::new());

/// Called by the C library before `main`, when no code of this program can have opened anything.
#[used]
// SAFETY: the section holds pointers to functions like this one, which needs nothing that is not there before `main`.
#[unsafe(link_section = ".init_array")]
static AT_START: extern "C" fn() = note;

extern "C" fn note() {
    let open = numbers().filter(|fd| *fd > libc::STDERR_FILENO && is_open(*fd));
    UNTAKEN.lock().extend(open);
}

/// At least the numbers of all open descriptors.
fn numbers() -> Box<dyn Iterator<Item = RawFd>> {
    /// Where there is no procfs: more than anybody passes on.
    const HIGHEST: RawFd = 1024;
    match std::fs::read_dir("/proc/self/fd") {
        // Collected, so that the directory is closed when they are looked at.
        Ok(entries) => {
            let numbers = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
            Box::new(numbers.collect::<Vec<RawFd>>().into_iter())
        }
        Err(_) => Box::new(0..HIGHEST),
    }
}

fn is_open(fd: RawFd) -> bool {
    // SAFETY: does nothing but look at the number.
    unsafe { libc::fcntl(fd, libc::F_GETFD) >= 0 }
}

/// Takes the inherited descriptor `fd`, and makes sure that children do not inherit it again. `EBADF` if the process
/// was not started with it, if it is stdout or stderr, or taken already.
pub fn take(fd: RawFd) -> Result<OwnedFd, Errno> {
    if fd == libc::STDIN_FILENO {
        return take_stdin();
    }
    // So that it is dropped, and its number given to others, only after it has been struck off.
    if !UNTAKEN.lock().remove(&fd) {
        return Err(Errno::BADF);
    }
    // SAFETY: it was open before anything here could own it, and nobody else gets it: it has just been struck off.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    fcntl_setfd(&fd, FdFlags::CLOEXEC)?;
    Ok(fd)
}

/// Takes stdin, in whose place there is nothing to be read from then on.
fn take_stdin() -> Result<OwnedFd, Errno> {
    let taken = fcntl_dupfd_cloexec(rustix::stdio::stdin(), libc::STDERR_FILENO + 1)?;
    let null = rustix::fs::open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::stdio::dup2_stdin(&null)?;
    Ok(taken)
}

/// Closes all inherited descriptors that have not been taken, but for the standard streams and those in `kept`.
pub(crate) fn close_others(kept: &BTreeSet<RawFd>) {
    let mut untaken = UNTAKEN.lock();
    let others: Vec<RawFd> = untaken.difference(kept).copied().collect();
    for fd in others {
        untaken.remove(&fd);
        // SAFETY: as in `take`.
        drop(unsafe { OwnedFd::from_raw_fd(fd) });
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::AsRawFd;
    use std::process::{Command, Stdio};

    use command_fds::{CommandFdExt, FdMapping};

    use super::*;

    /// A number that nothing here comes to by itself.
    const PASSED_ON: RawFd = 200;
    const ROLE: &str = "GOFER_TEST_INHERITS";

    #[test]
    fn what_the_process_has_opened_itself_is_not_taken() {
        let file = tempfile::tempfile().unwrap();
        assert_eq!(take(file.as_raw_fd()).err(), Some(Errno::BADF));
        // Not even if it looks like one that was passed on: it would have two owners.
        fcntl_setfd(&file, FdFlags::empty()).unwrap();
        assert_eq!(take(file.as_raw_fd()).err(), Some(Errno::BADF));
        assert_eq!(take(libc::STDERR_FILENO).err(), Some(Errno::BADF));
        assert!(file.metadata().is_ok());
    }

    #[test]
    fn what_was_passed_on_is_taken_once() {
        let test = "inherited::tests::what_was_passed_on_is_taken_once";
        if std::env::var_os(ROLE).is_none() {
            let passed_on = |child_fd| FdMapping { parent_fd: tempfile::tempfile().unwrap().into(), child_fd };
            let mut again = Command::new(std::env::current_exe().unwrap());
            again.args(["--exact", test]).env(ROLE, "1").stdout(Stdio::piped()).stderr(Stdio::piped());
            again.fd_mappings((PASSED_ON..PASSED_ON + 3).map(passed_on).collect()).unwrap();
            let output = again.output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
            return;
        }
        let taken = File::from(take(PASSED_ON).unwrap());
        assert!(taken.metadata().is_ok());
        assert!(rustix::io::fcntl_getfd(&taken).unwrap().contains(FdFlags::CLOEXEC));
        assert_eq!(take(PASSED_ON).err(), Some(Errno::BADF));
        close_others(&BTreeSet::from([PASSED_ON + 1]));
        assert!(taken.metadata().is_ok());
        assert!(take(PASSED_ON + 1).is_ok());
        assert!(!is_open(PASSED_ON + 2));
        assert_eq!(take(PASSED_ON + 2).err(), Some(Errno::BADF));
    }
}
