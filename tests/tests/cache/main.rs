//! Caches before other backends: mounted, killed, full, and in containers.

mod conforms;
mod containers;
mod kills;
mod mounts;
