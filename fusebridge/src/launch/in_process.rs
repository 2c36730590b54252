//! Servers in this process.

use std::ffi::OsStr;
use std::sync::Arc;
use std::time::Duration;

use clap::ArgMatches;
use gofer::extension::{Error, Preparation, Registry};
use gofer::in_process::{Options, serve};
use lisafs::server::{Connection, Direct};
use parking_lot::Mutex;

use super::{LaunchError, Server};

/// Where the server of a directory or an extension's file system runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum ServerPlace {
    /// In this process for a directory, `mem:`, `readonly:` and `crypt:` where that is possible, otherwise in one of its
    /// own.
    #[default]
    Auto,
    /// In a process of its own, which can crash without this one.
    Separate,
    /// In this process, which is faster: no other has to be woken for a request.
    InProcess,
}

/// The extensions of this process, and the flags that they were given.
#[derive(Clone, Default)]
pub struct Extensions {
    registry: Arc<Registry>,
    flags: ArgMatches,
    is_prepared: Arc<Mutex<bool>>,
}

impl Extensions {
    /// Those of `registry`.
    #[must_use]
    pub fn new(registry: Arc<Registry>, flags: ArgMatches) -> Self {
        Extensions { registry, flags, is_prepared: Arc::default() }
    }

    /// Starts a server for `backend`.
    pub(super) fn serve(&self, backend: &OsStr, options: Options) -> Result<Server, LaunchError> {
        self.prepare().map_err(LaunchError::Extension)?;
        let (connection, socket) = serve(&self.registry, backend, options)?;
        Ok(Server::here(connection, socket))
    }

    fn prepare(&self) -> Result<(), Error> {
        let mut is_prepared = self.is_prepared.lock();
        if !*is_prepared {
            self.registry.prepare(&Preparation::new(&self.flags))?;
            *is_prepared = true;
        }
        Ok(())
    }

    /// Tells the extensions that the process ends, if they have served anything.
    pub fn end(&self) {
        if *self.is_prepared.lock() {
            self.registry.end();
        }
    }
}

impl std::fmt::Debug for Extensions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Extensions").finish_non_exhaustive()
    }
}

/// A connection that is served here.
#[derive(Debug)]
pub(super) struct Here(Connection);

impl Here {
    pub(super) fn new(connection: Connection) -> Self {
        Here(connection)
    }

    pub(super) fn direct(&self) -> Direct {
        self.0.direct()
    }

    /// Waits until everything that belongs to the connection is released, whose client has gone.
    pub(super) fn finish(&self, limit: Duration) {
        if !self.0.wait_for(limit) {
            // Extensions that must not be left are waited for when the process ends.
            tracing::warn!("the backend takes long to finish");
        }
    }
}
