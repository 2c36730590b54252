//! The kernel's side: the only room that knows the FUSE ABI, and the library whose next release will want changes here.
//!
//! [`request`] takes requests apart, [`handler`] does what they ask for, and one of three ways brings them and takes the
//! answers back: [`device`] and [`ring`], which are our own, and [`library`].

mod abi;
mod backing;
mod connection;
mod convert;
mod device;
mod handler;
mod library;
mod moment;
mod options;
mod request;
mod ring;
mod session;

pub use connection::FuseConnection;
pub use device::calls_at_most;
pub use options::{InProcess, MountOptions, Transport};
pub use request::is_request;
pub use ring::FuzzedEntry;
pub use session::Mounted;
