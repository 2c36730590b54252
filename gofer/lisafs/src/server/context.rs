//! What handlers share.

use super::fds::NewFd;
use super::session::Session;
use crate::backend::Error;
use crate::wire::MessageId;

/// What a thread works with while it answers requests.
pub(super) struct Context<'s> {
    /// The connection.
    pub(super) session: &'s Session,
    /// What a walk has made so far. Kept from one request to the next, so that it does not have to grow each time.
    pub(super) walked: Vec<NewFd<'s>>,
}

impl<'s> Context<'s> {
    /// For a thread of `session`.
    pub(super) fn new(session: &'s Session) -> Self {
        Context { session, walked: Vec::new() }
    }
}

/// Tells people what a backend says about a failure beyond its number.
pub(super) fn log_cause(message: MessageId, error: &Error) {
    if let Some(cause) = error.cause() {
        tracing::warn!(?message, errno = %error.errno(), "{cause}");
    }
}
