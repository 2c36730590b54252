//! Mounts as descriptors, which nobody can move away while they are being prepared.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, fsconfig_create, fsconfig_set_string,
    fsmount, fsopen, move_mount, open_tree,
};

use crate::runsc::raw::{self, MountAttributes};

/// A mount, with those below it, that is attached or going to be.
#[derive(Debug)]
pub(super) struct Tree(OwnedFd);

impl Tree {
    /// A copy of the part of its mount that begins at `dir` (or consists of a file), with the mounts below it if
    /// `recursive`. Nobody sees it until it is attached.
    pub(super) fn copy(dir: impl AsFd, recursive: bool) -> Result<Self, Errno> {
        let how = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
        let below = if recursive { OpenTreeFlags::AT_RECURSIVE } else { OpenTreeFlags::empty() };
        open_tree(dir, c"", how | below).map(Tree)
    }

    /// A file system in memory, for nothing but a few directories.
    pub(super) fn in_memory() -> Result<Self, Errno> {
        let fs = fsopen(c"tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
        fsconfig_set_string(&fs, c"mode", c"0755")?;
        fsconfig_create(&fs)?;
        let attributes =
            MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_NOEXEC;
        fsmount(&fs, FsMountFlags::FSMOUNT_CLOEXEC, attributes).map(Tree)
    }

    /// One that somebody else has made.
    pub(super) fn received(mount: OwnedFd) -> Self {
        Tree(mount)
    }

    /// Changes the mount, or all below it too.
    pub(super) fn change(&self, recursive: bool, attributes: MountAttributes) -> Result<(), Errno> {
        raw::mount_setattr(self.0.as_fd(), recursive, attributes)
    }

    /// Shows it where `place` is, a directory or a file as it is one itself.
    pub(super) fn attach(&self, place: impl AsFd) -> Result<(), Errno> {
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
        move_mount(&self.0, c"", place, c"", flags)
    }

    /// A descriptor of its root.
    pub(super) fn into_fd(self) -> OwnedFd {
        self.0
    }
}

impl AsFd for Tree {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
