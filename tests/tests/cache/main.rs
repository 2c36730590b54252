//! Caches before other backends: mounted, killed, full, and in containers.

mod clients;
mod containers;
mod kills;
mod mounts;
