//! A LisaFS server: the trusted process through which a sandbox reaches files.
//!
//! A file system implements [`lisafs::backend`]; [`lisafs::server`] serves it. Host directories are served by
//! [`hostfs`]; an [`extension`] brings other file systems, of which those in [`extensions`] ship with it. [`main_with`]
//! makes a complete program of it.

#![deny(unsafe_code)]

pub mod cli;
mod configuration;
pub mod doctor;
pub mod exporter;
pub mod extension;
pub mod extensions;
pub mod hostfs;
pub mod in_process;
pub mod inherited;
pub mod limits;
pub mod listener;
pub mod log;
pub mod memory;
mod program;
pub mod runsc;
pub mod seccomp;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod volume;

pub use cli::{main_of, main_with};
pub use program::Program;
// What an extension is given is of these versions.
pub use {clap, lisafs, oci_spec};

/// The chapter on writing file systems: its examples are tests.
#[cfg(doctest)]
#[doc = include_str!("../docs/extending.md")]
mod extending {}
