//! The container's mounts.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use oci_spec::runtime::Mount;
use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, openat};
use rustix::io::{Errno, fcntl_dupfd_cloexec};

use super::options::Options;
use super::sealed::Sealed;
use super::tree::Tree;
use super::walk::{self, Kind, Place};
use super::{RootError, Served};
use crate::runsc::raw::MountAttributes;
use crate::runsc::rpc::Rpc;

/// How the mounts of a container are made.
pub(super) struct Volumes<'a> {
    /// Where: the root directory as those see it who come after the mounts that there are.
    pub(super) root: OwnedFd,
    /// Whether that is one of these mounts.
    pub(super) covers_root: bool,
    /// Who opens what we may not.
    pub(super) rpc: Option<&'a Rpc>,
    /// Whether devices in them may be used.
    pub(super) devices: bool,
    /// Whether a connection serves devices, those in `/dev`.
    pub(super) serves_dev: bool,
    /// What is read-only so far.
    pub(super) sealed: &'a mut Sealed,
}

impl Volumes<'_> {
    /// Makes `mount`, at least as strict as it asks for, and read-only if `is_overlaid`.
    ///
    /// It is complete before it is shown, with all mounts below it.
    pub(super) fn make(&mut self, mount: &Mount, is_overlaid: bool) -> Result<Served, RootError> {
        let mut options = Options::parse(mount.options().iter().flatten().map(String::as_str));
        if is_overlaid {
            options = options.read_only();
        }
        let tree = self.open(mount, options)?;
        let failed = |step: &'static str| {
            move |source| RootError::Mount { destination: mount.destination().clone(), step, source }
        };
        let kind = kind(tree.as_fd()).map_err(failed("cannot look at its source"))?;
        let Place { fd, path } = walk::find_or_make(self.root.as_fd(), self.sealed, mount.destination(), kind)
            .map_err(failed("cannot make its mount point"))?;
        // Above all, files of the host are no programs of this process.
        let has_devices = self.devices || self.serves_dev && path.starts_with("/dev");
        let nodev = if has_devices { 0 } else { libc::MOUNT_ATTR_NODEV };
        let mut attributes = options.attributes();
        attributes.set |= libc::MOUNT_ATTR_NOSUID | nodev;
        if attributes.set & libc::MOUNT_ATTR_RDONLY != 0 {
            self.sealed.note(&tree).map_err(failed("cannot look at it"))?;
        }
        restrict(&tree, attributes).map_err(failed("cannot set its options"))?;
        if let Some((recursive, propagation)) = options.propagates() {
            tree.change(recursive, propagation).map_err(failed("cannot set its propagation"))?;
        }
        tree.attach(fd).map_err(failed("cannot attach it"))?;
        if path == Path::new("/") {
            self.root = fcntl_dupfd_cloexec(&tree, 0).map_err(failed("cannot open it"))?;
            self.covers_root = true;
        }
        Ok(Served { fd: tree.into_fd(), path })
    }

    fn open(&self, mount: &Mount, options: Options) -> Result<Tree, RootError> {
        let no_source = || RootError::NoSource(mount.destination().clone());
        let source = mount.source().as_ref().ok_or_else(no_source)?;
        let by_runsc = |rpc: &Rpc| {
            let flags = u32::try_from(options.flags()).unwrap_or(u32::MAX);
            rpc.open_mount(mount, flags).map_err(|error| RootError::Rpc { path: source.clone(), source: error })
        };
        if is_mapped(mount) {
            let rpc = self.rpc.ok_or_else(|| RootError::Mapped(mount.destination().clone()))?;
            return by_runsc(rpc).map(Tree::received);
        }
        let file = match (open(source), self.rpc) {
            (Ok(file), _) => file,
            (Err(_), Some(rpc)) => by_runsc(rpc)?,
            (Err(error), None) => return Err(RootError::Source { path: source.clone(), source: error }),
        };
        Tree::copy(file, options.is_recursive())
            .map_err(|error| RootError::Source { path: source.clone(), source: error })
    }
}

/// Makes a mount and those below it stricter. Some of them may have a way of keeping access times that nobody may
/// change.
fn restrict(tree: &Tree, attributes: MountAttributes) -> Result<(), Errno> {
    let atime = libc::MOUNT_ATTR__ATIME | libc::MOUNT_ATTR_NODIRATIME;
    match tree.change(true, attributes) {
        Err(Errno::PERM) if (attributes.set | attributes.clear) & atime != 0 => {
            tree.change(true, MountAttributes { set: attributes.set & !atime, clear: 0, propagation: 0 })
        }
        other => other,
    }
}

/// Whether files have other owners there.
fn is_mapped(mount: &Mount) -> bool {
    let is_some = |mappings: &Option<Vec<_>>| mappings.as_ref().is_some_and(|mappings| !mappings.is_empty());
    is_some(mount.uid_mappings()) && is_some(mount.gid_mappings())
}

/// The file at a path of the host.
pub(super) fn open(path: &Path) -> Result<OwnedFd, Errno> {
    openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
}

/// What kind of place a mount of `source` needs.
pub(super) fn kind(source: BorrowedFd<'_>) -> Result<Kind, Errno> {
    let is_directory = FileType::from_raw_mode(fstat(source)?.st_mode) == FileType::Directory;
    Ok(if is_directory { Kind::Directory } else { Kind::File })
}
