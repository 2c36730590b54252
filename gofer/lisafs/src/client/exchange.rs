//! The one place through which every request and every answer passes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::errno::Errno;
use crate::wire::message::{CloseReq, CloseResp, ErrorResp};
use crate::wire::{FdArray, Message, MessageId, MessageSet, Wire};

use super::closes::Closes;
use super::communicator::{Answer, Communicator};
use super::error::{CallError, errno_from_wire};
use super::observer::Observer;
use super::pool::Pool;
use crate::trace::{Exchange, NoAnswer, Outcome, Recorder};

/// Sends `request`, the content of a message `id`, waits for its answer, tells `trace` and `observer` of both, and lets `read`
/// make something of the answer.
pub(super) fn exchange<'q, R>(
    communicator: &mut Communicator,
    id: MessageId,
    request: &impl Wire<'q>,
    limit: Duration,
    (trace, observer): (Option<&Recorder>, Option<&dyn Observer>),
    read: impl FnOnce(Answer<'_>) -> Result<R, CallError>,
) -> Result<R, CallError> {
    let number = communicator.number();
    let started = Instant::now();
    let sent = communicator.transact(id, request, started, limit);
    if trace.is_some() || observer.is_some() {
        let exchange = Exchange { message: id, communicator: number, started, duration: started.elapsed() };
        if let Some(observer) = observer {
            let answer = sent.as_ref().ok().filter(|answer| answer.id != MessageId::ERROR);
            observer.answered(id, answer.map(|answer| answer.payload.source()), exchange.duration);
        }
        if let Some(trace) = trace {
            record(trace, &exchange, request, &sent);
        }
    }
    let answer = sent?;
    if answer.id == MessageId::ERROR {
        // Descriptors beside an error mean nothing, and are closed here.
        drop(answer.fds);
        let error = ErrorResp::from_bytes(answer.payload.into_private())?;
        return Err(CallError::Refused(errno_from_wire(error.errno)));
    }
    read(answer)
}

/// Puts what was sent, and what came of it, into `trace`.
fn record<'q>(trace: &Recorder, exchange: &Exchange, request: &impl Wire<'q>, sent: &Result<Answer<'_>, CallError>) {
    let outcome = match sent {
        Ok(answer) => {
            let payload = answer.payload.source();
            Outcome::Answered { refused: answer.id == MessageId::ERROR, payload, fds: answer.fds.len() }
        }
        Err(CallError::Ended(ended)) => Outcome::Unanswered(NoAnswer::from(*ended)),
        // Nothing has been sent.
        Err(_) => return,
    };
    trace.record(exchange, request, &outcome);
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
    /// Where everything is recorded, if it is.
    pub(super) trace: Option<Arc<Recorder>>,
    /// Who hears of everything, if anybody does.
    pub(super) observer: Option<Arc<dyn Observer>>,
}

impl Connection {
    fn watchers(&self) -> (Option<&Recorder>, Option<&dyn Observer>) {
        (self.trace.as_deref(), self.observer.as_deref())
    }

    /// Makes a call: [`exchange`] on a free communicator.
    ///
    /// `read` runs while the communicator is taken. It must not make another call.
    pub(super) fn call<'q, Q: Message<'q>, R>(
        &self,
        request: &Q,
        read: impl FnOnce(Answer<'_>) -> Result<R, CallError>,
    ) -> Result<R, CallError> {
        self.call_as(Q::ID, request, read)
    }

    /// [`call`](Self::call) for a request whose kind is only known at run time.
    pub(super) fn call_as<'q, R>(
        &self,
        id: MessageId,
        request: &impl Wire<'q>,
        read: impl FnOnce(Answer<'_>) -> Result<R, CallError>,
    ) -> Result<R, CallError> {
        if !self.supported.contains(id) {
            return Err(CallError::Unsupported(id));
        }
        let mut lease = self.pool.acquire()?;
        exchange(lease.communicator(), id, request, self.time_limit, self.watchers(), read)
    }

    /// Gives `fds` back to the server.
    pub(super) fn give_back(&self, fds: FdArray<'_>) {
        if let Err(error) = self.call(&CloseReq { fds }, |answer| answer.decode::<CloseResp>()) {
            // There is nobody to tell: the server keeps them until the connection ends.
            tracing::debug!(message = ?MessageId::CLOSE, %error, "cannot give descriptors back");
        }
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
