//! The server with the backends and extensions of this crate from a client's side, over its sockets and channels.

mod channels;
mod client_kind;
mod extension;
mod fds;
mod hostile;
mod misuse;
mod program;
mod round_trips;
mod set_ids;

#[allow(dead_code, reason = "shared with other tests, which use all of it")]
#[path = "../../lisafs/tests/common/mod.rs"]
mod common;
