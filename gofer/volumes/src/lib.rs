//! A volume server: file systems that outlive a container, for the sandboxes of a machine.
//!
//! gofers hand the connections of their sandboxes over to it, as `gofer/docs/volumes.md` describes. [`main_with`] makes a
//! complete program of it and the extensions that serve its volumes.

#![deny(unsafe_code)]

pub mod config;

mod cli;

pub use cli::main_with;

use gofer::extension::Extension;

/// The extensions whose file systems can be volumes: those that ship with the gofer, and those that ship with this server.
pub fn extensions() -> Vec<Box<dyn Extension>> {
    gofer::extensions::shipped()
}
