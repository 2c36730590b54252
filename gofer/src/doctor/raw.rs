//! Questions to the kernel that no library asks.
#![allow(unsafe_code, reason = "calls the kernel by number, and between fork and exec")]

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::sched::{CloneFlags, unshare};
use rustix::io::Errno;

/// Asks seccomp whether it can end a process that makes a forbidden call.
pub(super) fn seccomp_kills_processes() -> Result<(), Errno> {
    let action: u32 = libc::SECCOMP_RET_KILL_PROCESS;
    // SAFETY: the kernel reads one number, which lives during the call.
    let result = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_ACTION_AVAIL, 0, &raw const action) };
    if result == 0 { Ok(()) } else { Err(last_error()) }
}

/// What the kernel says to the system call `number` with nonsense for arguments: whatever knows the call refuses its flags.
pub(super) fn refusal(number: libc::c_long) -> Errno {
    // SAFETY: a call that takes flags, and knows none by this value, looks at nothing else.
    unsafe { libc::syscall(number, -1, -1, -1, -1, -1, -1) };
    last_error()
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
