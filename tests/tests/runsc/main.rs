//! Containers of an unmodified runsc run on our gofer as on its own.

mod commands;
mod files;
mod mounts;
mod pods;
mod policies;
mod shim;
mod specs;
