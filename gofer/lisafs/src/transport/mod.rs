//! Bytes and descriptors between two processes.
//!
//! A connection has one [`Socket`] and any number of channels. A channel is a [`Window`] of memory that both processes
//! map, of which exactly one of them is in control at a time ([`Channel`]), and a socket for descriptors
//! ([`FdSocket`]). Nothing here knows what the messages mean.
//!
//! The peer is not trusted: what stands in shared memory is read once into private memory before it is used, lengths
//! are checked before anything is done with them, descriptors are owned from the moment they arrive.

mod channel;
mod deadline;
mod fd_socket;
mod handover;
mod memory;
mod socket;
mod spin;
mod window;

pub use channel::{Channel, Role, Stopper};
pub use fd_socket::FdSocket;
pub use memory::{PacketMemory, PeerMemory};
pub use socket::Socket;
pub use window::Window;

use std::os::fd::OwnedFd;

use crate::errno::Errno;
use arrayvec::ArrayVec;

/// Most descriptors that come with one message: Channel has two, the others one or none.
pub const MAX_FDS: usize = 2;

/// The descriptors of one message.
pub type Fds = ArrayVec<OwnedFd, MAX_FDS>;

/// Why a pathway ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Ended {
    /// The other end, or somebody in this process, has shut it down.
    #[error("the connection was shut down")]
    ShutDown,
    /// The peer broke the protocol.
    #[error("the peer broke the protocol: {0}")]
    Protocol(&'static str),
    /// The peer did not answer in time.
    #[error("no answer in time")]
    TimedOut,
    /// A system call failed.
    #[error("{0}")]
    System(#[from] Errno),
}

impl From<rustix::io::Errno> for Ended {
    fn from(errno: rustix::io::Errno) -> Self {
        Ended::System(errno.into())
    }
}
