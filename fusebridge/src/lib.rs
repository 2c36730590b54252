//! A LisaFS client that maps the protocol onto a FUSE mount.
#![deny(unsafe_code)]

pub mod client;
