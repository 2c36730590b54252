//! What can go wrong with a call, and with making a connection.

use crate::errno::Errno;
use crate::transport::Ended;
use crate::wire::MessageId;

/// Why a call has no result. Callers of the client see the errno it [comes to](Self::into_errno).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum CallError {
    /// The server answered with an error.
    #[error("the server refuses: {0}")]
    Refused(Errno),
    /// The server has never said that it knows this message.
    #[error("the server does not support {0:?}")]
    Unsupported(MessageId),
    /// The request does not fit into a message; nothing has been sent.
    #[error("{0:?} is too long for a message")]
    TooLong(MessageId),
    /// The answer does not fit the request. The communicator is still in step.
    #[error("the server's answer is not valid: {0}")]
    Malformed(&'static str),
    /// The communicator has ended.
    #[error("{0}")]
    Ended(#[from] Ended),
}

impl CallError {
    /// What the caller gets. Where that says less than the error does, the error is logged.
    pub(super) fn into_errno(self, message: MessageId) -> Errno {
        match self {
            CallError::Refused(errno) => errno,
            CallError::Unsupported(_) => Errno::OPNOTSUPP,
            CallError::TooLong(MessageId::FSET_XATTR) => Errno::TOOBIG,
            CallError::TooLong(MessageId::PWRITE | MessageId::CLOSE | MessageId::FSYNC) => Errno::INVAL,
            // All others grow by names and targets of links only.
            CallError::TooLong(_) => Errno::NAMETOOLONG,
            CallError::Ended(Ended::ShutDown) => Errno::IO,
            CallError::Malformed(_) | CallError::Ended(_) => {
                tracing::warn!(?message, "{self}");
                Errno::IO
            }
        }
    }
}

impl From<crate::wire::Malformed> for CallError {
    fn from(_: crate::wire::Malformed) -> Self {
        CallError::Malformed("it ends too early")
    }
}

/// An errno from the wire: only the numbers that the kernel knows as errors are one.
pub fn errno_from_wire(errno: u32) -> Errno {
    match i32::try_from(errno) {
        Ok(errno @ 1..=4095) => Errno::from_raw_os_error(errno),
        _ => Errno::IO,
    }
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The server did not answer Mount as it should.
    #[error("cannot mount: {0}")]
    Mount(String),
    /// The server's messages are too small to work with.
    #[error("the server accepts messages of at most {0} bytes; at least {min} are needed", min = super::SMALLEST_MESSAGE)]
    MessageSize(u32),
    /// A thread of the client could not be started.
    #[error("cannot start a thread: {0}")]
    Thread(#[source] std::io::Error),
    /// The server ended the connection before it was complete.
    #[error("the server closed the connection while it was being set up")]
    Lost,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_are_no_errno_become_an_io_error() {
        assert_eq!(errno_from_wire(2), Errno::NOENT);
        assert_eq!(errno_from_wire(4095).raw_os_error(), 4095);
        for bad in [0, 4096, u32::MAX, 1 << 31] {
            assert_eq!(errno_from_wire(bad), Errno::IO, "{bad}");
        }
    }
}
