//! Getting a connection to a server.

mod hand_down;
mod in_process;
mod server;
mod spec;

pub(crate) use hand_down::hand_down;
pub use in_process::{Extensions, ServerPlace};
pub use server::{LaunchError, Launcher, Server};
pub use spec::{BackendSpec, SpecError};
