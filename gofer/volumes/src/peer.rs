//! Who is at the other end of a control socket.

use std::fmt;
use std::os::fd::AsFd;

use rustix::io::Errno;
use rustix::net::sockopt::socket_peercred;

/// A process, as it was when it connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    pub(crate) pid: i32,
    pub(crate) user: u32,
    pub(crate) group: u32,
}

impl Peer {
    /// Who has connected at `socket`.
    pub(crate) fn of(socket: impl AsFd) -> Result<Self, Errno> {
        let found = socket_peercred(socket)?;
        Ok(Peer { pid: found.pid.as_raw_nonzero().get(), user: found.uid.as_raw(), group: found.gid.as_raw() })
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} of user {}, group {}", self.pid, self.user, self.group)
    }
}
