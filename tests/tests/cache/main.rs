//! Caches before other backends: mounted, killed, full, and in containers.

mod clients;
mod containers;
mod flush;
mod kills;
mod mounts;
