//! File data on its way to the kernel.
//!
//! It may stand in a packet window, which the server can change at any time, so there must be no slice of it: but a
//! slice is what the FUSE library wants to be given. Instead of copying it, this module writes the answer to the device
//! by itself.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, OnceLock};

use fuser::{Errno, ReplyData, RequestId};
use lisafs::iobuf::IoSource;
use zerocopy::{Immutable, IntoBytes};

/// The kernel's `struct fuse_out_header`.
#[repr(C)]
#[derive(IntoBytes, Immutable)]
struct OutHeader {
    len: u32,
    error: i32,
    unique: u64,
}

/// The device over which the requests of a mount come.
#[derive(Clone, Debug, Default)]
pub(super) struct Device(Arc<OnceLock<OwnedFd>>);

impl Device {
    /// Makes it known. The same open file as the library's: the kernel knows a request only where it was read.
    pub(super) fn set(&self, device: OwnedFd) {
        // Never called twice.
        let _ = self.0.set(device);
    }

    /// Answers request `unique`, which is also that of `reply`, with `data`.
    pub(super) fn send(&self, unique: RequestId, reply: ReplyData, data: IoSource<'_>) {
        let Some(device) = self.0.get() else { return reply.data(&data.to_vec()) };
        let Ok(len) = u32::try_from(size_of::<OutHeader>() + data.len()) else { return reply.error(Errno::EIO) };
        let header = OutHeader { len, error: 0, unique: unique.0 };
        match data.send_behind(header.as_bytes(), device.as_fd()) {
            // As always if an application was interrupted, or the mount is on its way down.
            Err(lisafs::Errno::NOENT | lisafs::Errno::NODEV) | Ok(_) => {
                // fuser 0.18 answers by itself when it drops a reply, so it is not dropped. What is lost is a count of
                // its references to the device, which the session leaves open at its end anyway: see `Mounted::wait`.
                std::mem::forget(reply);
            }
            Err(error) => {
                tracing::warn!(%error, "the kernel does not accept the data that was read");
                reply.error(Errno::EIO);
            }
        }
    }
}
