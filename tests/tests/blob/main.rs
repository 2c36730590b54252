//! Blob volumes on a real S3 server, through a network that is not always kind, and in directories.

mod conform;
mod containers;
mod ends;
mod faults;
mod kills;
mod scene;
mod stores;
mod wrong;
