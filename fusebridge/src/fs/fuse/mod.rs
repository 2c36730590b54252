//! The kernel's side: the only room that knows the FUSE library, whose next release will want changes here.

mod adapter;
mod attach;
mod backing;
mod connection;
mod convert;
mod data;
mod options;
mod prune;
mod session;

pub use connection::FuseConnection;
pub use options::MountOptions;
pub use session::Mounted;
