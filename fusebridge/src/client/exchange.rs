//! The one place through which every request and every answer passes.

use std::time::Duration;

use gofer::wire::message::ErrorResp;
use gofer::wire::{Message, MessageId, MessageSet, Wire};
use rustix::io::Errno;

use super::closes::Closes;
use super::communicator::{Answer, Communicator};
use super::error::{CallError, errno_from_wire};
use super::pool::Pool;

/// Sends `request`, waits for its answer, and lets `read` make something of it.
pub(super) fn exchange<'q, Q: Message<'q>, R>(
    communicator: &mut Communicator,
    request: &Q,
    limit: Duration,
    read: impl FnOnce(Answer<'_>) -> Result<R, CallError>,
) -> Result<R, CallError> {
    let answer = communicator.transact(request, limit)?;
    if answer.id == MessageId::ERROR {
        // Descriptors beside an error mean nothing, and are closed here.
        drop(answer.fds);
        let error = ErrorResp::from_bytes(answer.payload.into_private())?;
        return Err(CallError::Refused(errno_from_wire(error.errno)));
    }
    read(answer)
}

/// What the calls of a client share with its threads.
pub(super) struct Connection {
    /// Its communicators.
    pub(super) pool: Pool,
    /// What the server understands.
    pub(super) supported: MessageSet,
    /// Largest payload in bytes.
    pub(super) max_message: usize,
    /// How long an answer may take.
    pub(super) time_limit: Duration,
    /// FDs to give back.
    pub(super) closes: Closes,
}

impl Connection {
    /// Makes a call: [`exchange`] on a free communicator.
    ///
    /// `read` runs while the communicator is taken. It must not make another call.
    pub(super) fn call<'q, Q: Message<'q>, R>(
        &self,
        request: &Q,
        read: impl FnOnce(Answer<'_>) -> Result<R, CallError>,
    ) -> Result<R, CallError> {
        if !self.supported.contains(Q::ID) {
            return Err(CallError::Unsupported(Q::ID));
        }
        let mut lease = self.pool.acquire()?;
        exchange(lease.communicator(), request, self.time_limit, read)
    }

    /// [`call`](Self::call) for those who hand errnos on.
    pub(super) fn ask<'q, Q: Message<'q>, R>(
        &self,
        request: &Q,
        read: impl FnOnce(Answer<'_>) -> Result<R, CallError>,
    ) -> Result<R, Errno> {
        self.call(request, read).map_err(|error| error.into_errno(Q::ID))
    }
}
