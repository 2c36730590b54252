//! Requests of a client in the same process, answered on the thread that makes them.

use std::sync::Arc;

use parking_lot::RwLock;

use super::context::Context;
use super::exchange::{Reply, Request};
use super::session::Session;
use crate::iobuf::{IoSource, IoTarget};
use crate::transport::{Ended, Fds};
use crate::wire::MessageId;

/// A way into a [`Connection`](super::Connection) for [a client](crate::client::ClientOptions::direct) in the same
/// process. No thread is woken for a request, and nothing is copied between processes; all else is as over a channel:
/// the same messages with the same checks.
///
/// A request lasts as long as the backend takes: there is no other thread that could give it up. The connection ends as
/// ever, with its socket, and no sooner than the requests that are being answered.
#[derive(Clone)]
pub struct Direct(Arc<RwLock<Option<Arc<Session>>>>);

/// What has become of a request.
pub(crate) struct Answered {
    /// What kind of answer.
    pub(crate) message: MessageId,
    /// How long it is.
    pub(crate) len: usize,
    /// What comes with it.
    pub(crate) fds: Fds,
}

impl Direct {
    /// The way to `session`.
    pub(super) fn to(session: Arc<Session>) -> Self {
        Direct(Arc::new(RwLock::new(Some(session))))
    }

    /// Answers the request `payload` into `answer`, which has room for the longest message. `data` is behind the payload
    /// of a PWrite.
    pub(crate) fn answer(
        &self,
        message: MessageId,
        (payload, data): (&[u8], &[u8]),
        answer: &mut [u8],
    ) -> Result<Answered, Ended> {
        let session = self.0.read();
        let session = session.as_deref().ok_or(Ended::ShutDown)?;
        let max = session.max_message.min(answer.len());
        let mut reply = Reply::new(IoTarget::from(&mut answer[..max]));
        let (payload, data) = match data {
            [] => payload.split_at(Request::private_len(message, payload.len())),
            data => (payload, data),
        };
        let request = Request { payload, data: IoSource::from(data) };
        let message = Context::new(session).answer(message, request, &mut reply);
        Ok(Answered { message, len: reply.len(), fds: std::mem::take(reply.fds()) })
    }

    /// Waits for the requests that are being answered, and ends all later ones.
    pub(super) fn close(&self) {
        *self.0.write() = None;
    }
}

impl std::fmt::Debug for Direct {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Direct").finish_non_exhaustive()
    }
}
