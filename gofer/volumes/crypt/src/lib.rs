//! The format of gocryptfs's encrypted volumes, version 2.
//!
//! [`mod@format`] is the format: functions on bytes, which read and write no file. [`secret`] is memory for keys. A file system on top
//! of it does not exist yet.

#![deny(unsafe_code)]

pub mod format;
pub mod secret;
