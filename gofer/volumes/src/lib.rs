//! A volume server: file systems that outlive a container, for the sandboxes of a machine.
//!
//! gofers hand the connections of their sandboxes over to it, as `gofer/docs/volumes.md` describes. [`main_with`] makes
//! a complete program of it and the extensions that serve its volumes.

#![deny(unsafe_code)]

pub mod config;

mod ask;
mod cli;
mod connections;
mod crypt;
mod metrics;
mod peer;
mod pending;
mod serve;
mod shared;
mod sockets;
mod stats;
mod status;
mod takes;
mod upgrade;
mod volumes;

pub use cli::{command, main_of, main_with};

use gofer::extension::Extension;

/// The extensions whose file systems can be volumes: those that ship with the gofer, and those that ship with this
/// server.
pub fn extensions() -> Vec<Box<dyn Extension>> {
    let mut extensions = gofer::extensions::shipped();
    // A volume is not one of another server.
    extensions.retain(|extension| extension.name() != "volume");
    extensions.push(Box::new(gofer_blob::BlobExtension::default()));
    extensions.push(Box::new(gofer_cache::CacheExtension::default()));
    extensions.push(Box::new(gofer_crypt::CryptExtension::default()));
    extensions
}
