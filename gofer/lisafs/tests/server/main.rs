//! The server from a client's side, over its sockets and channels.

mod connections;
mod directories;
mod large;
mod panics;
mod read_only;
mod semantics;
mod tree;

#[expect(dead_code, reason = "shared with other tests, which use all of it")]
#[path = "../common/mod.rs"]
mod common;
