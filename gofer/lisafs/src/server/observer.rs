//! Somebody who watches a connection.

use std::time::Duration;

use crate::backend::Errno;
use crate::wire::MessageId;

/// Hears of what happens on a connection, on its threads: methods must be quick.
pub trait Observer: Send + Sync {
    /// A request was answered within `took`: with `result`, whose value is how long the answer is, or an error.
    /// `received` is the length of the request. Neither counts headers.
    fn answered(&self, message: MessageId, received: usize, result: Result<usize, Errno>, took: Duration);

    /// Everything that belonged to the connection is released.
    fn ended(&self);
}
