//! What the end-to-end tests share with each other and with `cargo xtask`.
//!
//! The tests themselves are in `tests/tests/`, one file per story. They start the real binaries, so everything here
//! is about other processes: finding them, starting them, waiting for them with a time limit, and never leaving a mount
//! behind.

pub mod backend;
pub mod bins;
pub mod cargo;
pub mod check;
pub mod command;
pub mod conform;
pub mod crypt;
pub mod engines;
pub mod host;
pub mod modes;
pub mod mount;
pub mod process;
pub mod proxy;
pub mod ring;
pub mod s3;
pub mod sandbox;
pub mod scene;
pub mod scratch;
pub mod skip;
pub mod terminal;
pub mod user;
pub mod volumes;
pub mod wait;
