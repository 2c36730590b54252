//! The one place through which every request and every answer passes.

use std::time::{Duration, Instant};

use crate::wire::message::ErrorResp;
use crate::wire::{MessageId, Wire};

use super::communicator::Answer;
use super::error::{CallError, errno_from_wire};
use super::observer::Observer;
use crate::trace::{Exchange, NoAnswer, Outcome, Recorder};

/// What carries one request at a time, and its answer.
pub(super) trait Pathway {
    /// Which one this is, for people.
    fn number(&self) -> u16;

    /// Sends `request`, which is the content of a message `id`, and waits for its answer until `limit` has passed since
    /// `now`.
    fn transact<'q>(
        &mut self,
        id: MessageId,
        request: &impl Wire<'q>,
        now: Instant,
        limit: Duration,
    ) -> Result<Answer<'_>, CallError>;
}

/// Sends `request`, the content of a message `id`, waits for its answer, tells `trace` and `observer` of both, and lets
/// `read` make something of the answer.
pub(super) fn exchange<'q, R>(
    pathway: &mut impl Pathway,
    id: MessageId,
    request: &impl Wire<'q>,
    limit: Duration,
    (trace, observer): (Option<&Recorder>, Option<&dyn Observer>),
    read: impl FnOnce(Answer<'_>) -> Result<R, CallError>,
) -> Result<R, CallError> {
    let number = pathway.number();
    let started = Instant::now();
    let sent = pathway.transact(id, request, started, limit);
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
