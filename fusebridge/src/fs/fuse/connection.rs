//! The kernel's side of a mount, which may outlive the mountpoint: as long as a copy of the mount is in another mount
//! namespace, or somebody is in what was detached.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::mountpoint::{TableEntry, mounted_on};

/// A FUSE connection.
pub struct FuseConnection {
    /// The descriptor over which it goes.
    device: OwnedFd,
    mount: Option<TableEntry>,
}

impl FuseConnection {
    /// The connection over `device` of the file system that has just been mounted on `path`.
    pub(super) fn new(device: OwnedFd, path: &Path) -> Self {
        let mount = mounted_on(path).ok().and_then(|mut mounts| mounts.pop());
        FuseConnection { device, mount }
    }

    /// Its mount, as it was in the kernel's table.
    pub fn mount(&self) -> Option<&TableEntry> {
        self.mount.as_ref()
    }

    /// Whether requests can still come.
    pub fn is_alive(&self) -> bool {
        let mut fds = [PollFd::new(&self.device, PollFlags::empty())];
        // Anything but a clear answer is none.
        poll(&mut fds, Some(&Timespec::default())).is_ok_and(|_| !fds[0].revents().contains(PollFlags::ERR))
    }

    /// Ends it while it is alive, for everybody who is still in the file system. Needs fusectl to be mounted.
    pub fn abort(&self) -> io::Result<()> {
        let number = self.mount.as_ref().and_then(|mount| mount.device.strip_prefix("0:"));
        let number = number.ok_or_else(|| io::Error::other("the connection's number is not known"))?;
        std::fs::write(format!("/sys/fs/fuse/connections/{number}/abort"), "1")
    }
}
