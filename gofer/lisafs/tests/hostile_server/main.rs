//! What a server can do to the client: nothing but refuse its service.
//!
//! Each test scripts a server that breaks the protocol in one way, over the socket and over a channel.

#[path = "../support/mod.rs"]
mod support;

mod answers;
mod concurrency;
mod descriptors;
mod endings;
mod mount;
mod names;
mod windows;
