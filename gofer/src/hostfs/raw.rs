//! System calls that no crate has a function for: directory entries in a form that can be kept, and extended attributes
//! of files named by a directory and a name (Linux 6.13).
#![allow(unsafe_code, reason = "raw system calls on buffers and strings that live during the call")]

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd};

use self::xattrat::{GETXATTRAT, LISTXATTRAT, REMOVEXATTRAT, SETXATTRAT};

use rustix::io::{Errno, Result};

/// Numbers of these system calls: the same on all architectures, and not in all C libraries' headers yet.
pub(crate) mod xattrat {
    pub(crate) const SETXATTRAT: libc::c_long = 463;
    pub(crate) const GETXATTRAT: libc::c_long = 464;
    pub(crate) const LISTXATTRAT: libc::c_long = 465;
    pub(crate) const REMOVEXATTRAT: libc::c_long = 466;
}

/// The kernel's `struct xattr_args`.
#[repr(C, align(8))]
struct XattrArgs {
    value: u64,
    size: u32,
    flags: u32,
}

/// Reads directory entries, as many as fit, in the kernel's form; zero bytes at the end.
pub(super) fn getdents64(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<usize> {
    // SAFETY: the kernel writes at most `len` bytes to the buffer.
    let n = unsafe { libc::syscall(libc::SYS_getdents64, fd.as_raw_fd(), buffer.as_mut_ptr(), buffer.len()) };
    check(n)
}

/// `getxattrat(2)`, following.
pub(super) fn getxattrat(dir: BorrowedFd<'_>, path: &CStr, name: &CStr, value: &mut [u8]) -> Result<usize> {
    let args = XattrArgs { value: value.as_mut_ptr().expose_provenance() as u64, size: length(value)?, flags: 0 };
    // SAFETY: the strings end with NUL, and the kernel writes at most `size` bytes to `value`.
    let n = unsafe {
        libc::syscall(GETXATTRAT, dir.as_raw_fd(), path.as_ptr(), 0, name.as_ptr(), &raw const args, size_of_val(&args))
    };
    check(n)
}

/// `setxattrat(2)`, following.
pub(super) fn setxattrat(dir: BorrowedFd<'_>, path: &CStr, name: &CStr, value: &[u8], flags: u32) -> Result<()> {
    let args = XattrArgs { value: value.as_ptr().expose_provenance() as u64, size: length(value)?, flags };
    // SAFETY: the strings end with NUL, and the kernel reads `size` bytes of `value`.
    let n = unsafe {
        libc::syscall(SETXATTRAT, dir.as_raw_fd(), path.as_ptr(), 0, name.as_ptr(), &raw const args, size_of_val(&args))
    };
    check(n).map(drop)
}

/// `listxattrat(2)`, following.
pub(super) fn listxattrat(dir: BorrowedFd<'_>, path: &CStr, list: &mut [u8]) -> Result<usize> {
    // SAFETY: the string ends with NUL, and the kernel writes at most `len` bytes to `list`.
    let n = unsafe { libc::syscall(LISTXATTRAT, dir.as_raw_fd(), path.as_ptr(), 0, list.as_mut_ptr(), list.len()) };
    check(n)
}

/// `removexattrat(2)`, following.
pub(super) fn removexattrat(dir: BorrowedFd<'_>, path: &CStr, name: &CStr) -> Result<()> {
    // SAFETY: both strings end with NUL.
    let n = unsafe { libc::syscall(REMOVEXATTRAT, dir.as_raw_fd(), path.as_ptr(), 0, name.as_ptr()) };
    check(n).map(drop)
}

fn length(value: &[u8]) -> Result<u32> {
    u32::try_from(value.len()).map_err(|_| Errno::TOOBIG)
}

/// The result of a system call in Rust's terms.
fn check(n: libc::c_long) -> Result<usize> {
    usize::try_from(n).map_err(|_| super::errno(&std::io::Error::last_os_error()))
}
