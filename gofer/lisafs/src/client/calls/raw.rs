//! Messages that were made elsewhere, sent as they are.

use crate::errno::Errno;
use crate::transport::Fds;
use crate::wire::{DoesNotFit, Malformed, MessageId, Reader, Sink, Wire};

use super::Client;
use crate::client::error::CallError;
use crate::trace::NoAnswer;

/// An answer as it came.
#[non_exhaustive]
pub struct RawAnswer {
    /// Its content.
    pub payload: Vec<u8>,
    /// What came with it.
    pub fds: Fds,
}

/// Why there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RawFailure {
    /// The server refuses.
    #[error("{0}")]
    Refused(Errno),
    /// The server does not know this message, and was not asked.
    #[error("a message that the server does not support")]
    Unsupported,
    /// It is longer than the server's messages, and was not sent.
    #[error("too long for the server's messages")]
    TooLong,
    /// It was sent, and no answer came.
    #[error("{0}")]
    Unanswered(NoAnswer),
}

impl Client {
    /// Sends `payload`, which is the content of a message `id`, and hands the answer on as it came. FDs in it must be
    /// this connection's; what it brings is not looked at, and its FDs are the caller's to close.
    pub fn call_raw(&self, id: MessageId, payload: &[u8]) -> Result<RawAnswer, RawFailure> {
        let answered = self.connection.call_as(id, &Raw(payload), |answer| {
            let payload = answer.payload.source().to_vec();
            Ok(RawAnswer { payload, fds: answer.fds })
        });
        answered.map_err(|error| match error {
            CallError::Refused(errno) => RawFailure::Refused(errno),
            CallError::Unsupported(_) => RawFailure::Unsupported,
            CallError::TooLong(_) => RawFailure::TooLong,
            CallError::Ended(ended) => RawFailure::Unanswered(ended.into()),
            // Only an error message can be: an errno that is cut off.
            CallError::Malformed(_) => RawFailure::Unanswered(NoAnswer::Protocol),
        })
    }
}

/// The bytes of any message.
struct Raw<'a>(&'a [u8]);

impl<'a> Wire<'a> for Raw<'a> {
    fn decode(from: &mut Reader<'a>) -> Result<Self, Malformed> {
        let length = from.rest().len();
        from.take(length).map(Raw)
    }

    fn encode(&self, to: &mut (impl Sink + ?Sized)) -> Result<(), DoesNotFit> {
        to.put(self.0)
    }
}
