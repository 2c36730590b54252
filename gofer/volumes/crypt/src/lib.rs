//! Encrypted volumes in the format of gocryptfs, version 2.
//!
//! [`mod@format`] is the format: functions on bytes, which read and write no file. [`CryptFs`] is the file system on
//! top of it and of any other backend, [`CryptExtension`] brings it as `crypt:BACKEND`. [`secret`] is memory for keys,
//! [`key_source`] where passwords and master keys come from. [`directory`] makes volumes in directories of the host and
//! changes their passwords, [`fsck`] looks for damage in them.

#![deny(unsafe_code)]

mod backend;
pub mod directory;
mod extension;
pub mod format;
pub mod fsck;
#[doc(hidden)]
pub mod fuzzing;
pub mod key_source;
pub mod secret;

pub use backend::{CryptFs, OpenError};
pub use extension::CryptExtension;
