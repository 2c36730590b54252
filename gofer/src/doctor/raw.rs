//! Questions to the kernel that no library asks.
#![allow(unsafe_code, reason = "calls the kernel by number, and between fork and exec")]

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::sched::{CloneFlags, unshare};
use rustix::io::Errno;

use crate::hostfs::xattrat;

/// Asks seccomp whether it can end a process that makes a forbidden call.
pub(super) fn seccomp_kills_processes() -> Result<(), Errno> {
    let action: u32 = libc::SECCOMP_RET_KILL_PROCESS;
    // SAFETY: the kernel reads one number, which lives during the call.
    let result = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_ACTION_AVAIL, 0, &raw const action) };
    if result == 0 { Ok(()) } else { Err(last_error()) }
}

/// What the kernel says to the system call `number` with nonsense for arguments.
///
/// # Safety
///
/// The call takes flags and refuses these, before it does anything; or the kernel does not know it.
unsafe fn refusal(number: libc::c_long) -> Errno {
    // SAFETY: it is refused, by the caller's word.
    unsafe { libc::syscall(number, -1, -1, -1, -1, -1, -1) };
    last_error()
}

/// A system call that takes flags, and so can be asked for without being made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Probe(libc::c_long);

impl Probe {
    /// No call has such flags, and none of these looks at anything else before it has looked at them.
    pub(super) const MOVE_MOUNT: Probe = Probe(libc::SYS_move_mount);
    pub(super) const MOUNT_SETATTR: Probe = Probe(libc::SYS_mount_setattr);
    pub(super) const GETXATTRAT: Probe = Probe(xattrat::GETXATTRAT);
    pub(super) const SETXATTRAT: Probe = Probe(xattrat::SETXATTRAT);
    /// A number that no architecture uses.
    #[cfg(test)]
    pub(super) const UNUSED: Probe = Probe(9999);

    /// Why the kernel refuses it.
    pub(super) fn refusal(self) -> Errno {
        // SAFETY: these are calls that refuse what they are given here.
        unsafe { refusal(self.0) }
    }
}

/// Makes `command` enter new namespaces, one after the other, before it becomes its program.
pub(super) fn in_new_namespaces(command: &mut Command, namespaces: &'static [CloneFlags]) {
    let enter = || namespaces.iter().try_for_each(|&namespace| unshare(namespace).map_err(io::Error::from));
    // SAFETY: between fork and exec it makes system calls and nothing else.
    unsafe { command.pre_exec(enter) };
}

fn last_error() -> Errno {
    io::Error::last_os_error().raw_os_error().map_or(Errno::IO, Errno::from_raw_os_error)
}
