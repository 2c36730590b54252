//! What extensions pass on to processes that serve their file systems.

use std::ffi::OsString;
use std::io;
use std::os::fd::AsRawFd;

use command_fds::FdMapping;
use gofer::extension::HandDown;

/// Flags and descriptors for one process.
pub(crate) fn hand_down(all: &[HandDown]) -> io::Result<(Vec<OsString>, Vec<FdMapping>)> {
    let passed = all.iter().map(HandDown::pass).collect::<io::Result<Vec<_>>>()?;
    Ok(passed.into_iter().map(|(flag, fd)| (flag, FdMapping { child_fd: fd.as_raw_fd(), parent_fd: fd })).unzip())
}
