//! From a request to its answer: what is the same for all messages.

use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use rustix::fs::OFlags;

use super::context::{Context, log_cause};
use super::exchange::{Reply, Request};
use super::handlers::{Handler, find};
use crate::backend::{Errno, Error, Result};
use crate::transport::Fds;
use crate::wire::MessageId;

impl Context<'_> {
    /// Answers one request, and says which message the answer is.
    pub(super) fn answer(&mut self, message: MessageId, request: Request<'_>, reply: &mut Reply<'_>) -> MessageId {
        let Some(observer) = &self.session.observer else { return self.answer_unseen(message, request, reply).0 };
        let (begin, received) = (Instant::now(), request.payload.len() + request.data.len());
        let (answer, result) = self.answer_unseen(message, request, reply);
        observer.answered(message, received, result.map(|()| reply.len()), begin.elapsed());
        answer
    }

    fn answer_unseen(
        &mut self,
        message: MessageId,
        request: Request<'_>,
        reply: &mut Reply<'_>,
    ) -> (MessageId, std::result::Result<(), Errno>) {
        match self.handle(message, request, reply) {
            Ok(()) => {
                make_non_blocking(reply.fds());
                (message, Ok(()))
            }
            Err(error) => {
                tracing::debug!(?message, errno = %error.errno(), "refused");
                log_cause(message, &error);
                reply.fail(error.errno());
                (MessageId::ERROR, Err(error.errno()))
            }
        }
    }

    fn handle(&mut self, message: MessageId, request: Request<'_>, reply: &mut Reply<'_>) -> Result<()> {
        if self.session.is_closing() {
            return Err(Error::CONNRESET);
        }
        let Some(Handler { changes, handle }) = find(self.session.options.supported, message) else {
            return Err(Error::OPNOTSUPP);
        };
        if *changes && self.session.options.read_only {
            return Err(Error::ROFS);
        }
        // What a handler leaves behind when it panics is dropped by its owners; nothing is half done in the session.
        let handled = catch_unwind(AssertUnwindSafe(|| handle(self, request, reply)));
        // After an error or a panic, this forgets what was made. It is the backend's, and may panic as well.
        let forgotten = catch_unwind(AssertUnwindSafe(|| self.walked.clear()));
        handled.and_then(|result| forgotten.map(|()| result)).unwrap_or_else(|_| {
            tracing::error!(?message, "a handler panicked");
            Err(Error::REMOTEIO)
        })
    }
}

/// Clients expect donated descriptors not to block. It is a property of the open file, not of the descriptor.
fn make_non_blocking(fds: &Fds) {
    for fd in fds {
        // A backend may well have opened it so.
        let result = rustix::fs::fcntl_getfl(fd.as_fd()).and_then(|flags| {
            if flags.contains(OFlags::NONBLOCK) {
                return Ok(());
            }
            rustix::fs::fcntl_setfl(fd.as_fd(), flags | OFlags::NONBLOCK)
        });
        match result {
            // It cannot be said of descriptors that only name a file, nor need it.
            Ok(()) | Err(rustix::io::Errno::BADF) => {}
            Err(error) => tracing::debug!(%error, "cannot make a donated descriptor non-blocking"),
        }
    }
}
