//! What client and server say to each other, recorded in a file.
//!
//! A [`Recorder`] that is among the [options](crate::client::ClientOptions) of a client writes down every message:
//! when, on which communicator, the request, the answer or the errno, the descriptors beside it, and how long it took.
//! Data that moves on donated descriptors is no message and is not in a trace.

mod facts;
pub mod format;
mod pending;
mod recorder;

pub use facts::Facts;
pub use format::NoAnswer;
pub use recorder::{Exchange, Mark, Outcome, Recorder, RecorderOptions};
