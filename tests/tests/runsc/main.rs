//! Containers of an unmodified runsc run on our gofer as on its own.

mod backends;
mod commands;
mod fields;
mod files;
mod mounts;
mod pods;
mod policies;
mod shim;
mod specs;
