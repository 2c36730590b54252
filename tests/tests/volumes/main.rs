//! Volumes: connections that are handed over to a server outside of the sandbox's gofer.

mod containers;
mod hostile;
mod kills;
mod mounts;
mod python;
mod server;
mod stuck;
mod upgrade;
mod wrong;

/// How long anything may take.
const LIMIT: std::time::Duration = std::time::Duration::from_secs(30);
