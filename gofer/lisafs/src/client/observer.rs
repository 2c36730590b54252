//! Somebody who watches a client.

use std::time::Duration;

use crate::iobuf::IoSource;
use crate::wire::MessageId;

/// Hears of every request, on the thread that makes it: it must be quick.
pub trait Observer: Send + Sync + std::fmt::Debug {
    /// A request was answered within `took`: with the content `answer`, or `None` for an error or no answer at all.
    fn answered(&self, message: MessageId, answer: Option<IoSource<'_>>, took: Duration);
}
