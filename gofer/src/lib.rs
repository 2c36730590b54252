//! A LisaFS server.

#![deny(unsafe_code)]

pub mod backend;
pub mod cli;
pub mod extensions;
pub mod hostfs;
pub mod inherited;
pub mod iobuf;
pub mod runsc;
pub mod seccomp;
pub mod server;
pub mod transport;
pub mod wire;
