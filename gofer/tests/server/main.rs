//! The server from a client's side, over its sockets and channels.

mod channels;
mod connections;
mod directories;
mod extension;
mod fds;
mod hostile;
mod large;
mod misuse;
mod panics;
mod program;
mod read_only;
mod semantics;
mod tree;

#[path = "../common/mod.rs"]
mod common;
