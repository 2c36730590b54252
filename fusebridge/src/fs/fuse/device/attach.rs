//! Mounting with root's rights, in steps: the file system answers before anybody can see it, and the mount is known by
//! its descriptor rather than by what is found on a path afterwards.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, open};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, fsconfig_create, fsconfig_set_flag, fsconfig_set_string,
    fsmount, fsopen, move_mount,
};
use rustix::process::{getgid, getuid};

use crate::fs::fuse::options::{MountOptions, SUBTYPE};
use crate::mounts::Pin;

/// A file system that is mounted nowhere yet.
pub(in super::super) struct Unattached {
    mount: OwnedFd,
}

impl Unattached {
    /// A FUSE file system, and the device over which its requests come. `None`: it cannot be made this way, by this
    /// kernel or with these rights.
    pub(in super::super) fn new(options: &MountOptions) -> io::Result<Option<(OwnedFd, Unattached)>> {
        let context = match fsopen("fuse", FsOpenFlags::FSOPEN_CLOEXEC) {
            Ok(context) => context,
            Err(Errno::NOSYS | Errno::PERM) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let device = open("/dev/fuse", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
        let settings = [
            // A longer one is refused.
            ("source", if options.source.len() < 256 { options.source.clone() } else { "fusebridge".into() }),
            ("subtype", SUBTYPE.into()),
            ("fd", device.as_raw_fd().to_string()),
            // A directory. The rest is asked for.
            ("rootmode", "40000".into()),
            ("user_id", getuid().as_raw().to_string()),
            ("group_id", getgid().as_raw().to_string()),
        ];
        for (key, value) in settings {
            fsconfig_set_string(&context, key, value)?;
        }
        // The server acts with its own rights: the kernel must check those of callers.
        fsconfig_set_flag(&context, "default_permissions")?;
        for (key, is_set) in [("allow_other", options.allow_other), ("ro", options.read_only)] {
            if is_set {
                fsconfig_set_flag(&context, key)?;
            }
        }
        match fsconfig_create(&context) {
            Ok(()) => {}
            Err(Errno::PERM) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        let attributes = [
            (MountAttrFlags::MOUNT_ATTR_RDONLY, options.read_only),
            (MountAttrFlags::MOUNT_ATTR_NOSUID, !options.suid),
            (MountAttrFlags::MOUNT_ATTR_NODEV, !options.dev),
            (MountAttrFlags::MOUNT_ATTR_NOEXEC, options.noexec),
        ];
        let attributes = attributes.into_iter().filter(|(_, is_set)| *is_set).map(|(attribute, _)| attribute).collect();
        let mount = fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?;
        Ok(Some((device, Unattached { mount })))
    }

    /// Mounts it on `path`. The returned pin holds it.
    pub(in super::super) fn attach(self, path: &Path) -> io::Result<Pin> {
        move_mount(&self.mount, "", CWD, path, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?;
        Ok(Pin::from(self.mount))
    }
}
