//! A LisaFS server: the trusted process through which a sandbox reaches files.
//!
//! A file system implements [`backend`]; [`server`] serves it over [`transport`] in the messages of [`wire`]. Host directories
//! are served by [`hostfs`]; an [`extension`] brings other file systems, of which those in [`extensions`] ship with it.
//! [`main_with`] makes a complete program of it.

#![deny(unsafe_code)]

pub mod backend;
pub mod cli;
mod doctor;
pub mod extension;
pub mod extensions;
pub mod hostfs;
pub mod inherited;
pub mod iobuf;
mod limits;
pub mod runsc;
pub mod seccomp;
pub mod server;
pub mod transport;
pub mod volume;
pub mod wire;

pub use cli::main_with;
// What an extension is given is of these versions.
pub use {clap, oci_spec};

/// The chapter on writing file systems: its examples are tests.
#[cfg(doctest)]
#[doc = include_str!("../docs/extending.md")]
mod extending {}
