//! The kernel's side of a mount, which may outlive the mountpoint: as long as a copy of the mount is in another mount
//! namespace, or somebody is in what was detached.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::mounts::{MountId, Pin};

/// A FUSE connection.
pub struct FuseConnection {
    /// The descriptor over which it goes.
    device: OwnedFd,
    mount: Option<(MountId, String)>,
}

impl FuseConnection {
    /// The connection over `device` of the file system whose mount is `pin`.
    pub(super) fn new(device: OwnedFd, pin: io::Result<Pin>) -> Self {
        let look = |pin: Pin| Ok((pin.id()?, pin.entry()?.ok_or(io::ErrorKind::NotFound)?.device));
        let mount =
            pin.and_then(look).inspect_err(|error| tracing::warn!(%error, "cannot tell our own mount from others"));
        FuseConnection { device, mount: mount.ok() }
    }

    /// The number of its file system's device, as `major:minor`. No other has it while this is alive.
    pub fn device_number(&self) -> Option<&str> {
        self.mount.as_ref().map(|(_, device)| device.as_str())
    }

    /// Whether what `pin` holds is its mount.
    pub fn owns(&self, pin: &Pin) -> bool {
        let Some((own, device)) = &self.mount else { return false };
        match own {
            MountId::Unique(_) => pin.id().is_ok_and(|id| id == *own),
            // While it is held and this is alive, none of the numbers can be another's.
            MountId::Reused(_) => {
                pin.entry().is_ok_and(|entry| entry.is_some_and(|entry| entry.device == *device)) && self.is_alive()
            }
        }
    }

    /// Whether requests can still come.
    pub fn is_alive(&self) -> bool {
        let mut fds = [PollFd::new(&self.device, PollFlags::empty())];
        // Anything but a clear answer is none.
        poll(&mut fds, Some(&Timespec::default())).is_ok_and(|_| !fds[0].revents().contains(PollFlags::ERR))
    }

    /// Ends it while it is alive, for everybody who is still in the file system. Needs fusectl to be mounted.
    pub fn abort(&self) -> io::Result<()> {
        std::fs::write(self.control("abort")?, "1")
    }

    /// How many requests have no answer yet. Needs fusectl to be mounted.
    pub fn waiting(&self) -> io::Result<u64> {
        std::fs::read_to_string(self.control("waiting")?)?.trim().parse().map_err(io::Error::other)
    }

    /// Where its file `name` is in fusectl.
    fn control(&self, name: &str) -> io::Result<PathBuf> {
        let number = self.device_number().and_then(|device| device.strip_prefix("0:"));
        let number = number.ok_or_else(|| io::Error::other("the connection's number is not known"))?;
        Ok(Path::new("/sys/fs/fuse/connections").join(number).join(name))
    }
}
