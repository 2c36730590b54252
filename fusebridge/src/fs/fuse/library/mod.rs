//! Requests by way of the FUSE library fuser: what the project began with, and what its own way is compared with.

mod adapter;
mod convert;
mod data;
mod session;

pub(super) use session::LibrarySession;
