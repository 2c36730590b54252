//! Getting a connection to a server.

mod server;
mod spec;

pub use server::{LaunchError, Launcher, ReportError, Server};
pub use spec::{BackendSpec, SpecError};
