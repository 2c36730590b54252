//! Volumes: file systems that a server outside of this process has. `docs/volumes.md` describes the protocol.

mod name;

pub use name::{MAX_NAME, NameError, Pattern, check_name};
