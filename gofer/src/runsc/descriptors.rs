//! What the process is started with, besides its arguments.

use std::collections::BTreeSet;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd, RawFd};

use rustix::fs::{FileType, fstat};
use rustix::io::{Errno, ioctl_fionbio};
use rustix::net::{AddressFamily, SocketType, sockopt};

use super::args::{Command, Globals};
use crate::inherited;

/// A descriptor that is not what it should be.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum DescriptorError {
    #[error("--{flag}={fd}: {problem}")]
    Bad { flag: &'static str, fd: RawFd, problem: &'static str },
    #[error("cannot wait on descriptors: {0}")]
    Block(#[source] Errno),
}

/// Where the log goes. Taken before anything else, so that all that goes wrong can be said there.
#[derive(Debug, Default)]
pub(super) struct LogFiles {
    /// Gets a line if the process fails.
    pub(super) fatal: Option<File>,
    /// Gets everything.
    pub(super) debug: Option<File>,
    /// Becomes stderr, unless [`debug`](Self::debug) is to.
    pub(super) panic: Option<File>,
}

impl LogFiles {
    /// The files that the flags name as far as they are good, and what is wrong with the first that is not. Comes first
    /// of all.
    pub(super) fn take(globals: &Globals) -> (Self, Result<(), DescriptorError>) {
        let mut wrong = Ok(());
        let mut file = |flag, fd: Option<RawFd>| match fd.map(|fd| take(flag, fd)).transpose() {
            Ok(taken) => taken.map(File::from),
            Err(error) => {
                if wrong.is_ok() {
                    wrong = Err(error);
                }
                None
            }
        };
        let files = LogFiles {
            fatal: file("log-fd", globals.log_fd),
            debug: file("debug-log-fd", globals.debug_log_fd),
            panic: file("panic-log-fd", globals.panic_log_fd),
        };
        (files, wrong)
    }
}

/// All others.
#[derive(Debug)]
pub(super) struct Donated {
    /// The container's spec.
    pub(super) spec: File,
    /// Gets the list of resolved mounts.
    pub(super) mounts: File,
    /// Leads to somebody who opens mounts with more rights.
    pub(super) rpc: Option<OwnedFd>,
    /// One connection for each mount that is served, the root file system's first.
    pub(super) io: Vec<OwnedFd>,
    /// The connection that serves `/dev`.
    pub(super) dev_io: Option<OwnedFd>,
    /// At its end the caller has done what it does in this process's mount namespace.
    pub(super) sync_chroot: Option<OwnedFd>,
    /// At its end the caller has mapped users.
    pub(super) sync_userns: Option<OwnedFd>,
    /// Brings a descriptor of the sandbox's process.
    pub(super) sandbox_exit: Option<OwnedFd>,
    /// Holds on to files of the sandbox, which it then need not close itself at its end.
    _pin_ring: Option<OwnedFd>,
}

impl Donated {
    /// What the flags name.
    pub(super) fn take(command: &Command) -> Result<Self, DescriptorError> {
        let socket = |flag, fd: Option<RawFd>| fd.map(|fd| take_socket(flag, fd, SocketType::STREAM)).transpose();
        let donated = Donated {
            spec: take("spec-fd", command.spec_fd)?.into(),
            mounts: take("mounts-fd", command.mounts_fd)?.into(),
            rpc: socket("rpc-fd", command.rpc_fd)?,
            io: command
                .io_fds
                .iter()
                .map(|fd| take_socket("io-fds", *fd, SocketType::STREAM))
                .collect::<Result<_, _>>()?,
            dev_io: socket("dev-io-fd", command.dev_io_fd)?,
            sync_chroot: socket("sync-chroot-fd", command.sync_chroot_fd)?,
            sync_userns: socket("sync-userns-fd", command.sync_userns_fd)?,
            sandbox_exit: command
                .sync_sentry_exit_fd
                .map(|fd| take_socket("sync-sentry-exit-fd", fd, SocketType::SEQPACKET))
                .transpose()?,
            _pin_ring: command.pin_ring_fd.map(|fd| take("pin-ring-fd", fd)).transpose()?,
        };
        let kind = fstat(&donated.spec).map(|stat| FileType::from_raw_mode(stat.st_mode));
        if kind != Ok(FileType::RegularFile) {
            return Err(bad("spec-fd", command.spec_fd, "this descriptor is not a regular file"));
        }
        let kind = fstat(&donated.mounts).map(|stat| FileType::from_raw_mode(stat.st_mode));
        let can_write = rustix::fs::fcntl_getfl(&donated.mounts)
            .is_ok_and(|flags| flags.intersects(rustix::fs::OFlags::WRONLY | rustix::fs::OFlags::RDWR));
        if !can_write || !matches!(kind, Ok(FileType::Fifo | FileType::Socket | FileType::RegularFile)) {
            return Err(bad("mounts-fd", command.mounts_fd, "this descriptor is not the write end of a pipe"));
        }
        // Callers have them as they like.
        for fd in [Some(donated.mounts.as_fd()), donated.rpc.as_ref().map(AsFd::as_fd)].into_iter().flatten() {
            ioctl_fionbio(fd, false).map_err(DescriptorError::Block)?;
        }
        Ok(donated)
    }
}

fn bad(flag: &'static str, fd: RawFd, problem: &'static str) -> DescriptorError {
    DescriptorError::Bad { flag, fd, problem }
}

fn take(flag: &'static str, fd: RawFd) -> Result<OwnedFd, DescriptorError> {
    if fd <= libc::STDERR_FILENO {
        return Err(bad(flag, fd, "standard streams cannot be used for this"));
    }
    inherited::take(fd).map_err(|_| bad(flag, fd, "this descriptor is not open, or is used for something else"))
}

fn take_socket(flag: &'static str, fd: RawFd, kind: SocketType) -> Result<OwnedFd, DescriptorError> {
    let socket = take(flag, fd)?;
    let found = (sockopt::socket_domain(&socket), sockopt::socket_type(&socket));
    if found != (Ok(AddressFamily::UNIX), Ok(kind)) {
        return Err(bad(flag, fd, "this descriptor is not a UNIX socket of the right type"));
    }
    if rustix::net::getpeername(socket.as_fd()).is_err() {
        return Err(bad(flag, fd, "this socket is not connected"));
    }
    Ok(socket)
}

/// Closes every descriptor that the process was started with but the standard streams and those that flags name.
///
/// What else is open has leaked from whoever called the caller, and hooks would inherit it.
pub(super) fn close_others(globals: &Globals, command: &Command) {
    let single = [
        globals.log_fd,
        globals.debug_log_fd,
        globals.panic_log_fd,
        Some(command.spec_fd),
        Some(command.mounts_fd),
        command.rpc_fd,
        command.dev_io_fd,
        command.sync_chroot_fd,
        command.sync_userns_fd,
        command.pin_ring_fd,
        command.sync_sentry_exit_fd,
    ];
    let kept: BTreeSet<RawFd> = single.into_iter().flatten().chain(command.io_fds.iter().copied()).collect();
    inherited::close_others(&kept);
}
