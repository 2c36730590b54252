//! The device's own system calls.
#![allow(unsafe_code, reason = "neither rustix nor nix knows these calls")]

use std::ffi::c_void;
use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::io::Result;
use rustix::ioctl::{Ioctl, IoctlOutput, Opcode, ioctl, opcode};

const GROUP: u8 = 229;

/// `struct fuse_backing_map`.
#[repr(C)]
struct BackingMap {
    fd: i32,
    flags: u32,
    padding: u64,
}

/// A call that reads its argument and answers with a number.
struct Call<T> {
    opcode: Opcode,
    argument: T,
}

// SAFETY: the argument is of the type that each opcode below is made of, and the kernel only reads it.
unsafe impl<T> Ioctl for Call<T> {
    type Output = i32;
    const IS_MUTATING: bool = true;

    fn opcode(&self) -> Opcode {
        self.opcode
    }

    fn as_ptr(&mut self) -> *mut c_void {
        (&raw mut self.argument).cast()
    }

    unsafe fn output_from_ptr(output: IoctlOutput, _: *mut c_void) -> Result<i32> {
        Ok(output)
    }
}

/// Makes `device`, newly opened, another end of the connection over `original`.
pub(super) fn clone_to(device: BorrowedFd<'_>, original: BorrowedFd<'_>) -> Result<()> {
    let call = Call { opcode: opcode::read::<u32>(GROUP, 0), argument: original.as_raw_fd().cast_unsigned() };
    // SAFETY: FUSE_DEV_IOC_CLONE takes the number of a descriptor, which is open.
    unsafe { ioctl(device, call) }.map(drop)
}

/// Makes `file` known to the kernel as one that it may read and write by itself; returns its number there.
pub(super) fn open_backing(device: BorrowedFd<'_>, file: BorrowedFd<'_>) -> Result<u32> {
    let argument = BackingMap { fd: file.as_raw_fd(), flags: 0, padding: 0 };
    let call = Call { opcode: opcode::write::<BackingMap>(GROUP, 1), argument };
    // SAFETY: FUSE_DEV_IOC_BACKING_OPEN takes this structure, with a descriptor that is open.
    unsafe { ioctl(device, call) }.map(i32::cast_unsigned)
}

/// Takes [`open_backing`] back. Who has such a file open keeps it.
pub(super) fn close_backing(device: BorrowedFd<'_>, backing: u32) -> Result<()> {
    let call = Call { opcode: opcode::write::<u32>(GROUP, 2), argument: backing };
    // SAFETY: FUSE_DEV_IOC_BACKING_CLOSE takes a number.
    unsafe { ioctl(device, call) }.map(drop)
}
