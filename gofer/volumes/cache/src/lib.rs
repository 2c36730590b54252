//! A cache on a local disk before any other backend.
//!
//! [`CacheFs`] is the file system: the files of another backend, whose data is kept in a directory and whose names and
//! attributes are kept in memory. [`CacheExtension`] brings it as `cache:BACKEND?dir=DIR`. `gofer/docs/cache.md`
//! says what is stored where and what is promised.

#![deny(unsafe_code)]

mod admin;
mod back;
mod extension;
mod fs;
mod location;
mod remote;
mod stats;
mod store;

pub use admin::{AdminError, Status, drop_all, files, journals, status};
pub use extension::CacheExtension;
pub use fs::{Access, CacheFs, OpenError, Options, VolumeStats, Write, each_volume};
pub use location::{Location, LocationError};
pub use stats::Snapshot;
pub use store::{DirectoryError, Limits, Usage};
