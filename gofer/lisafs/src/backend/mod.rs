//! What a file system implements to be served.
//!
//! A [`Backend`] answers for one connection. It hands out [`ControlFile`]s, which are positions in its tree, and
//! [`OpenFile`]s, which data moves through. Neither knows of descriptors' numbers, messages or threads: the server has
//! decoded and checked everything before it calls, and makes an answer of what comes back.
//!
//! # What has been checked before a method is called
//!
//! The connection may do it (read-only connections never see a changing call), names are single components
//! ([`Name`]), the file has the type that the call needs, an open file was opened for reading or writing as needed.
//!
//! # Concurrency
//!
//! Calls come from several threads at once, one for each communicator of each connection: the socket and up to
//! [`Server::CHANNELS`](crate::server::Server::CHANNELS) channels, so a mount has five calls under way at most, or
//! more where [server](crate::server::Server::with_late_channels) and client want it. By default nothing else is
//! promised, and calls must be atomic by themselves. A backend that sets [`Options::tree_locks`] gets them under the
//! server's locks, so that it can rely on what its tree looks like:
//!
//! | guarantee | meaning | who runs meanwhile |
//! |---|---|---|
//! | *none* | no lock is held | anything |
//! | *read* | the file's position and its parents' do not change | other readers of the position, writers elsewhere |
//! | *write* | as *read*, and no other *read* or *write* call on this position runs | calls on other positions |
//! | *global* | no other call under a lock runs on any connection of the server | calls with guarantee *none*, data |
//!
//! Each method names its guarantee. Calls of an [`OpenFile`] are about data and may take long, so they have theirs on
//! the file alone: a rename may move or replace it meanwhile, and nobody waits for them who does not need the same
//! file.
//!
//! # Rules
//!
//! * **Do not block** on another client or on the network for long: the thread serves one communicator, whose client
//!   waits for it. A FIFO is opened non-blocking, a connection attempt answers `EAGAIN`.
//! * **(device, inode) is identity.** Two files with equal numbers are one file to the client. The numbers in [`Statx`]
//!   must be unique and stable as long as a control file lives; never use inode 0. The type never changes.
//! * **[`Statx::mask`] must have TYPE**, and SIZE for regular files.
//! * **An error has no effect.** A call that fails leaves nothing behind that the client could see.
//! * **Errors are errnos** that reach the application as they are, [with a cause](Errno::because) for the server's log
//!   where there is more to say. `EOPNOTSUPP` is the default of optional methods.

mod boxed;
mod control;
mod mode;
mod name;
mod open;
mod options;
mod workers;

pub use boxed::{ControlBox, OpenBox};
pub use control::{
    Bound, BoundSocket, ControlFile, Created, Credentials, Found, NewFile, Opened, RenameFlags, SetStat,
    SetStatFailure, SocketType, Unlink,
};
pub use mode::{AllocateFlags, Mode, XattrFlags};
pub use name::Name;
pub use open::{Access, DirEntry, DirSink, OpenFile, OpenHow, SeekTo};
pub use options::{ClientKind, DeletedFiles, Options};
pub use workers::Workers;

pub use crate::errno::{Errno, Error};
pub use crate::iobuf::{IoSource, IoTarget};
pub use crate::wire::{FileType, MessageId, MessageSet, NO_ID, StatFs, Statx, StatxMask, StatxTimestamp, Timespec};

use std::os::fd::OwnedFd;
use std::sync::Arc;

/// The result of a backend's call.
pub type Result<T> = std::result::Result<T, Error>;

/// A file system, as one connection sees it.
pub trait Backend: Send + Sync + 'static {
    /// What the connection may do and how it is locked. Asked once, before anything else.
    fn options(&self) -> Options {
        Options::default()
    }

    /// The root of the mount. Called once for each Mount request. Guarantee: *read* on the mount point.
    fn attach(&self) -> Result<Attachment>;

    /// Called once when a connection has ended, however it did, and all its files have been dropped: the place to give
    /// back what the connection alone has used. No call of the connection runs or follows. It is not called if the
    /// process is killed, so what must not be lost goes through [`OpenFile::sync`].
    fn detach(&self) {}
}

impl<B: Backend + ?Sized> Backend for Arc<B> {
    fn options(&self) -> Options {
        (**self).options()
    }

    fn attach(&self) -> Result<Attachment> {
        (**self).attach()
    }

    fn detach(&self) {
        (**self).detach();
    }
}

/// The root of a mount.
#[non_exhaustive]
pub struct Attachment {
    /// The root, a directory or (for mounts on files) anything else.
    pub root: Found,
    /// A descriptor of the root for a client that wants to work on the host files directly. Backends that give one say
    /// so in [`Options::donates_root`].
    pub donated: Option<OwnedFd>,
}

impl Attachment {
    /// A root without a descriptor.
    pub fn new(root: Found) -> Self {
        Attachment { root, donated: None }
    }

    /// The same with a host descriptor for the client.
    #[must_use]
    pub fn donating(self, fd: Option<OwnedFd>) -> Self {
        Attachment { donated: fd, ..self }
    }
}
