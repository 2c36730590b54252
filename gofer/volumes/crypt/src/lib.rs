//! Encrypted volumes in the format of gocryptfs, version 2.
//!
//! [`mod@format`] is the format: functions on bytes, which read and write no file. [`CryptFs`] is the file system on top of it and of any
//! other backend, [`CryptExtension`] brings it as `crypt:BACKEND`. [`secret`] is memory for keys, [`key_source`] where passwords come
//! from.

#![deny(unsafe_code)]

mod backend;
mod extension;
pub mod format;
pub mod key_source;
pub mod secret;

pub use backend::{CryptFs, OpenError};
pub use extension::CryptExtension;
