//! Requests over io_uring, which Linux has since 6.14, where `enable_uring` of its module fuse is on.
//!
//! For each processor the kernel has a queue, which takes the requests of callers there, and the queue has *entries*:
//! memory for one request and its answer. An entry belongs to the ring over which it was last committed, and only the
//! thread of that ring can be given the request that the kernel puts there next. So each thread has a ring of its own,
//! and one entry, and answers what comes there; it stays on its queue's processor, so that no other one has to be woken
//! for a call. The kernel takes the entry first that was committed last.
//!
//! Behind those entries is the [`reserve`]: a thread that only has requests handed on. They come to it when all threads
//! of a queue are at work, and the first one of all: it gives them to a thread that has no entry, or starts one, which
//! keeps the entry. So a queue has as many threads as it had calls at once, and there is always an entry for one more:
//! the kernel would leave a request that finds none until another one of the queue is answered.
//!
//! Forgotten files and interrupts come over the device, and notifications go there.

mod area;
mod availability;
mod commands;
mod entry;
mod fuzzing;
mod homeless;
mod reserve;
mod thread;

pub(super) use availability::{Unavailable, available};
pub(super) use entry::Entry;
pub use fuzzing::FuzzedEntry;
pub(super) use reserve::Rings;
