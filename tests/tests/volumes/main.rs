//! Volumes: connections that are handed over to a server outside of the sandbox's gofer.

mod containers;
mod kills;
mod mounts;
mod python;
mod server;
mod upgrade;
mod wrong;
