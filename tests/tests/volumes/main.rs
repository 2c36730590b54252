//! Volumes: connections that are handed over to a server outside of the sandbox's gofer.

mod containers;
mod mounts;
mod server;
mod wrong;
