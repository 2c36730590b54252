//! Somebody else for whole connections.

use std::os::fd::OwnedFd;

use super::Result;
use crate::volume::Mount;

/// Takes one connection over from this process.
pub trait Recipient: Send + Sync {
    /// Hands `connection` over, of which nobody has read a byte. Nothing of it stays in this process.
    fn hand_over(&self, connection: OwnedFd, mount: &Mount<'_>) -> Result<()>;

    /// Waits until the connection has ended. System calls are filtered by now.
    fn wait(&self);
}
