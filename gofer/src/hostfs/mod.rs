//! The stock backend: a directory of the host.
//!
//! Files are held by `O_PATH` descriptors and everything is done through these, never by a path that somebody could
//! redirect meanwhile, and without opening a file that nobody asked to open. What a descriptor alone does not allow
//! goes through the magic links of `/proc/self/fd`, see [`ProcFds`]. So each call is atomic by the kernel's own means,
//! no lock of the server's tree is needed, and a file whose name is gone still works.
//!
//! A client knows a file by its inode number, and the descriptor is what keeps the host from giving that number to
//! another file. So every control FD has one as long as it lives, and a client can know as many files as its share of
//! descriptors. A file handle in its place would hold nothing: ext4 uses the number of a removed file for the next one.
//!
//! # What it expects from the process
//!
//! * **The umask is 0.** Clients send modes ready made. A thread that makes a file for a client with an umask, as a
//!   kernel sends it, gets an umask of its own for that (`CLONE_FS`), and with it a working directory and root of its
//!   own.
//! * **`SIGXFSZ` is ignored**, so that a write beyond `RLIMIT_FSIZE` is an error and not the end of the server.
//! * **Privileges and root directory are final** when a [`ProcFds`] or a [`HostFs`] is made: with
//!   [`HostOptions::host_uds`] it starts a thread, which keeps what it starts with, as Linux has credentials and
//!   capabilities per thread.
//! * **A child after `fork` must make its own** [`ProcFds`]: the old one shows the parent's descriptors.

mod attributes;
mod control;
mod create;
mod dir;
mod helper;
mod open;
mod options;
mod proc_fds;
mod raw;
mod set_stat;
mod socket;
#[cfg(test)]
mod tests;
mod umask;
mod xattr;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

pub use options::{HostOptions, SpecialFiles, UdsPolicy};
pub use proc_fds::ProcFds;
pub(crate) use raw::xattrat;
use rustix::fs::{CWD, FileType, Mode, OFlags};
use rustix::io::{Errno, fcntl_dupfd_cloexec};
use rustix::mount::{OpenTreeFlags, open_tree};

use self::control::HostControl;
use self::helper::Helper;
use crate::runsc::raw::{MountAttributes, mount_setattr};
use lisafs::backend::{Attachment, Backend, Options, Result};

/// A host directory (or single file) as a file system.
pub struct HostFs {
    root: OwnedFd,
    shared: Arc<Shared>,
}

/// What all files of one [`HostFs`] need.
struct Shared {
    proc_fds: ProcFds,
    options: HostOptions,
    /// Does what needs a path or other credentials; there if sockets may be opened or made.
    helper: Option<Arc<Helper>>,
}

impl HostFs {
    /// Serves what `root` is open on; it may be open in any way, also with `O_PATH`. Needs `/proc`.
    pub fn new(root: impl AsFd, options: HostOptions) -> Result<Self> {
        Self::with_proc_fds(root, ProcFds::new()?, options)
    }

    /// The same with a [`ProcFds`] from before, for a process that serves several directories or no longer sees
    /// `/proc`.
    pub fn with_proc_fds(root: impl AsFd, proc_fds: ProcFds, options: HostOptions) -> Result<Self> {
        let root = proc_fds.reopen(root.as_fd(), OFlags::PATH)?;
        let helper = if options.host_uds == UdsPolicy::None { None } else { Some(proc_fds.helper()?) };
        Ok(HostFs { root, shared: Arc::new(Shared { proc_fds, options, helper }) })
    }

    /// Serves the directory or file at `path`; a symbolic link there is followed.
    pub fn open(path: &Path, options: HostOptions) -> io::Result<Self> {
        let mut root = rustix::fs::openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        if options.no_atime {
            // Without the right to do so, what is opened with O_NOATIME is still read without a trace.
            root = without_atime(root.as_fd()).unwrap_or(root);
        }
        let proc_fds = options.proc_fds.clone().map_or_else(ProcFds::new, Ok)?;
        Ok(Self::with_proc_fds(root, proc_fds, options)?)
    }

    /// A descriptor of the root for a client that works on the host's files itself. Reading a directory or a regular
    /// file has no side effects, so it gets a descriptor that allows as much as possible.
    fn donate_root(&self, kind: FileType) -> rustix::io::Result<OwnedFd> {
        let reopened = match kind {
            FileType::Directory | FileType::RegularFile => {
                self.shared.proc_fds.reopen(self.root.as_fd(), OFlags::RDONLY).ok()
            }
            _ => None,
        };
        match reopened {
            Some(fd) => Ok(fd),
            None => fcntl_dupfd_cloexec(&self.root, 0),
        }
    }
}

impl Backend for HostFs {
    fn options(&self) -> Options {
        let options = &self.shared.options;
        Options::default()
            .read_only(options.read_only)
            .donates_root(options.donate_root)
            .max_fds(options.max_fds)
            .walk_stat(true)
    }

    fn attach(&self) -> Result<Attachment> {
        let fd = fcntl_dupfd_cloexec(self.root.as_fd(), 0)?;
        let stat = attributes::stat(fd.as_fd())?;
        let kind = attributes::kind(&stat);
        let donated = if self.shared.options.donate_root { Some(self.donate_root(kind)?) } else { None };
        Ok(Attachment::new(HostControl::root(&self.shared, fd, stat)?).donating(donated))
    }
}

/// The file in a copy of its mount, and of those below it, in which reading leaves the times of access.
fn without_atime(root: BorrowedFd<'_>) -> Result<OwnedFd> {
    let how = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH
        | OpenTreeFlags::AT_RECURSIVE;
    let copy = open_tree(root, c"", how)?;
    let attributes = MountAttributes { set: libc::MOUNT_ATTR_NOATIME, clear: libc::MOUNT_ATTR__ATIME, propagation: 0 };
    mount_setattr(copy.as_fd(), true, attributes)?;
    Ok(copy)
}

/// The errno of an error that comes from the standard library.
fn errno(error: &std::io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}
