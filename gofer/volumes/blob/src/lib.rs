//! A POSIX file system in an object store.
//!
//! The only server is the store: metadata are in a SlateDB database, file data in immutable segments beside it. The
//! layout, and what a crash leaves of it, is described in `gofer/docs/blob.md`.

#![deny(unsafe_code)]

mod admin;
mod ahead;
mod backend;
mod cache;
mod collect;
mod commit;
mod data;
mod error;
mod extension;
mod fetch;
mod head;
mod key;
mod list;
mod location;
mod meta;
mod names;
mod node;
mod open;
mod overlay;
mod presence;
mod reading;
mod record;
mod seek;
mod segment;
mod store;
mod superblock;
#[cfg(test)]
mod tests;
mod volume;
mod warm;
mod xattr;

pub use admin::{CheckOptions, Manager, MetadataUsage, Progress, Report, SegmentUsage, Snapshot, SnapshotKind, Usage};
pub use backend::BlobFs;
pub use collect::Collected;
pub use error::Error;
pub use extension::BlobExtension;
pub use location::{Compression, Location, LocationError, Options};
pub use open::Opened;
pub use record::RequestCounts;
pub use store::Store;

pub(crate) use lisafs::backend::{Errno, IoSource, IoTarget};
