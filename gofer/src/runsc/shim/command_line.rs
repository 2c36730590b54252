//! What others see as the command line of this process.
#![allow(unsafe_code, reason = "tells the kernel where the command line is in memory")]

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;

/// Shows `line` in `/proc/PID/cmdline` from now on. Only who may exceed resource limits (CAP_SYS_RESOURCE) can do
/// that; when it fails, what is shown may be nonsense until the next `execve`.
pub(super) fn show(line: &[OsString]) -> io::Result<()> {
    let mut text = Vec::new();
    for word in line {
        text.extend_from_slice(&word.clone().into_vec());
        text.push(0);
    }
    // Read whenever somebody asks, until this process ends.
    let range = text.leak().as_ptr_range();
    let [start, end] = [range.start, range.end].map(|address| address.expose_provenance());
    // The end never comes before the start. What the kernel has put on the stack is above all of our memory.
    set(libc::PR_SET_MM_ARG_START, start)?;
    set(libc::PR_SET_MM_ARG_END, end)
}

fn set(which: libc::c_int, address: usize) -> io::Result<()> {
    // SAFETY: the kernel only notes the address, and reads there on behalf of others as they could do themselves.
    match unsafe { libc::prctl(libc::PR_SET_MM, which, address, 0, 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
