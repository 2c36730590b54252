//! Encrypted volumes in the format of gocryptfs, version 2.
//!
//! [`mod@format`] is the format: functions on bytes, which read and write no file. [`secret`] is memory for keys, [`key_source`] where
//! passwords come from. A file system on top of it does not exist yet.

#![deny(unsafe_code)]

pub mod format;
pub mod key_source;
pub mod secret;
