//! Encrypted volumes: in containers, and with gocryptfs on the same files.

mod containers;
mod interchange;
mod tree;
