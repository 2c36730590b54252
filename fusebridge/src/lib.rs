//! A LisaFS client that maps the protocol onto a FUSE mount, so that any backend can be used and tested outside a
//! sandbox.
//!
//! From below: [`lisafs::client`] talks to a server, [`fs`] makes a file system of it, [`launch`] finds or starts the
//! server, [`mountpoint`] is where it goes, [`unmount`] takes it away again, [`trace`] records what is said on the way,
//! [`cli`] is what a person sees.

#![deny(unsafe_code)]

pub mod cli;
pub mod fs;
pub mod launch;
mod limits;
pub mod mountpoint;
pub mod mounts;
mod reconnect;
mod statistics;
pub mod trace;
pub mod unmount;

pub use cli::{main_of, main_with};

use gofer::extension::Extension;

/// One of each extension that ships: those of the gofer, `blob:`, `cache:` and `crypt:`.
pub fn extensions() -> Vec<Box<dyn Extension>> {
    let mut extensions = gofer::extensions::shipped();
    extensions.push(Box::new(gofer_blob::BlobExtension::default()));
    extensions.push(Box::new(gofer_cache::CacheExtension::default()));
    extensions.push(Box::new(gofer_crypt::CryptExtension::default()));
    extensions
}
