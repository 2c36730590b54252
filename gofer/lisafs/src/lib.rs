//! LisaFS, the protocol through which a gVisor sandbox reaches files.
//!
//! A file system implements [`backend`]; [`server`] serves it over [`transport`] in the messages of [`wire`].
//! [`client`] talks to such a server, and [`trace`] records what is said. [`acl`] is about one kind of attributes that
//! files can have.

#![deny(unsafe_code)]

pub mod acl;
pub mod backend;
pub mod client;
mod errno;
pub mod iobuf;
pub mod server;
mod sync;
#[cfg(feature = "testing")]
pub mod testing;
pub mod trace;
pub mod transport;
pub mod wire;

pub use errno::{Errno, Error};

/// The examples in the README are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
