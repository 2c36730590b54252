//! One end of the connection to the kernel: an open file of /dev/fuse. Each thread has its own, so that they do not
//! wait for each other there.

use std::io::IoSlice;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use lisafs::iobuf::IoSource;
use rustix::fs::{Mode, OFlags, open};
use rustix::io::{Errno, read, writev};
use zerocopy::IntoBytes;

use super::ioctl;
use crate::fs::fuse::abi::OutHeader;

/// An end. The kernel takes the answer to a request only where it was read.
#[derive(Debug)]
pub(in super::super) struct End(OwnedFd);

impl End {
    /// The end that the mount was made with.
    pub(in super::super) fn new(device: OwnedFd) -> Arc<Self> {
        Arc::new(End(device))
    }

    /// Another one of the same connection.
    pub(super) fn another(&self) -> rustix::io::Result<Arc<Self>> {
        let device = open("/dev/fuse", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
        ioctl::clone_to(device.as_fd(), self.0.as_fd())?;
        Ok(Arc::new(End(device)))
    }

    /// Waits for a request and puts it into `buffer`. `None`: the file system is unmounted.
    pub(super) fn receive(&self, buffer: &mut [u8]) -> rustix::io::Result<Option<usize>> {
        loop {
            match read(&self.0, &mut *buffer) {
                Ok(len) => return Ok(Some(len)),
                Err(Errno::NODEV) => return Ok(None),
                // The kernel has taken a request back.
                Err(Errno::NOENT | Errno::INTR | Errno::AGAIN) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Answers request `unique` with `body`. `false`: nobody waits for it any more.
    pub(super) fn answer(&self, unique: u64, body: &[u8]) -> bool {
        self.send(0, unique, body).inspect_err(report).is_ok()
    }

    /// Answers request `unique` with `data`, which may be shared with a server.
    pub(super) fn answer_with(&self, unique: u64, data: IoSource<'_>) {
        let Some(header) = header(0, unique, data.len()) else { return self.refuse(unique, lisafs::Errno::IO) };
        match data.send_behind(header.as_bytes(), self.0.as_fd()) {
            // As always when an application was interrupted, or the mount is on its way down.
            Ok(_) | Err(lisafs::Errno::NOENT | lisafs::Errno::NODEV) => {}
            Err(error) => {
                tracing::warn!(%error, "the kernel does not accept the data that was read");
                self.refuse(unique, lisafs::Errno::IO);
            }
        }
    }

    /// Answers request `unique` with an error.
    pub(super) fn refuse(&self, unique: u64, error: lisafs::Errno) {
        let _ = self.send(-error_number(error), unique, &[]).inspect_err(report);
    }

    /// Tells the kernel something that it has not asked for.
    pub(super) fn notify(&self, code: i32, parts: &[&[u8]]) -> rustix::io::Result<()> {
        self.send(code, 0, &parts.concat())
    }

    fn send(&self, error: i32, unique: u64, body: &[u8]) -> rustix::io::Result<()> {
        let header = header(error, unique, body.len()).ok_or(Errno::MSGSIZE)?;
        writev(&self.0, &[IoSlice::new(header.as_bytes()), IoSlice::new(body)]).map(drop)
    }
}

impl AsFd for End {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The number that the kernel is told for `error`: it takes no others.
pub(in super::super) fn error_number(error: lisafs::Errno) -> i32 {
    Some(error.raw_os_error()).filter(|number| (1..512).contains(number)).unwrap_or(libc::EIO)
}

fn header(error: i32, unique: u64, body: usize) -> Option<OutHeader> {
    let len = u32::try_from(size_of::<OutHeader>() + body).ok()?;
    Some(OutHeader { len, error, unique })
}

fn report(error: &Errno) {
    if !matches!(*error, Errno::NOENT | Errno::NODEV) {
        tracing::warn!(%error, "the kernel does not accept an answer");
    }
}

/// A file that the kernel may read and write by itself.
#[derive(Debug)]
pub(in super::super) struct Backing {
    end: Arc<End>,
    number: u32,
}

impl Backing {
    /// Makes `file` known to the kernel.
    pub(super) fn register(end: &Arc<End>, file: BorrowedFd<'_>) -> std::io::Result<Self> {
        Ok(Backing { number: ioctl::open_backing(end.as_fd(), file)?, end: end.clone() })
    }

    /// Its number there.
    pub(super) fn number(&self) -> u32 {
        self.number
    }
}

impl Drop for Backing {
    fn drop(&mut self) {
        if let Err(error) = ioctl::close_backing(self.end.as_fd(), self.number) {
            tracing::debug!(%error, "the kernel keeps a file that it worked on");
        }
    }
}
