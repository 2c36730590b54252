//! System calls that no library has a typed call for.
#![allow(unsafe_code, reason = "calls the kernel by number")]

use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::io::Errno;

/// What [`mount_setattr`] changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct MountAttributes {
    /// `MOUNT_ATTR_*` to set.
    pub(crate) set: u64,
    /// `MOUNT_ATTR_*` to clear, before others are set.
    pub(crate) clear: u64,
    /// One of `MS_PRIVATE`, `MS_SLAVE`, `MS_UNBINDABLE`, or 0 for no change.
    pub(crate) propagation: u64,
}

/// Changes the mount that `mount` is a descriptor of the root of, and with `recursive` those below it; all or none.
pub(crate) fn mount_setattr(mount: BorrowedFd<'_>, recursive: bool, attributes: MountAttributes) -> Result<(), Errno> {
    let mut request = libc::mount_attr {
        attr_set: attributes.set,
        attr_clr: attributes.clear,
        propagation: attributes.propagation,
        userns_fd: 0,
    };
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path is a C string, the structure is as large as is said, and the kernel only reads both.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw mut request,
            size_of::<libc::mount_attr>(),
        )
    };
    check(result)
}

/// Ends the process with `status` when `signal` comes.
pub(super) fn exit_on(signal: i32, status: i32) -> std::io::Result<()> {
    // SAFETY: ending the process at once is allowed in a signal handler.
    unsafe { signal_hook::low_level::register(signal, move || libc::_exit(status)) }.map(drop)
}

/// Ignores `signal`.
pub(super) fn ignore(signal: libc::c_int) {
    // SAFETY: nothing runs when the signal comes.
    unsafe { libc::signal(signal, libc::SIG_IGN) };
}

fn check(result: libc::c_long) -> Result<(), Errno> {
    if result == 0 {
        return Ok(());
    }
    Err(std::io::Error::last_os_error().raw_os_error().map_or(Errno::IO, Errno::from_raw_os_error))
}
