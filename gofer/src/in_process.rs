//! A backend for a client in this very process, which is a kernel's: what `gofer serve --client kernel` is for one
//! elsewhere.

use std::ffi::OsStr;
use std::io;
use std::os::unix::net::UnixStream;

use nix::sched::{CloneFlags, unshare};

use crate::extension::{OpenError, Registry};
use crate::hostfs::{HostOptions, SpecialFiles};
use crate::limits;
use lisafs::backend::ClientKind;
use lisafs::server::{ConnectError, Connection, Server};

/// How the backend is served.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Options {
    /// Refuses changes.
    pub read_only: bool,
    /// Leaves the times of access of files in host directories.
    pub no_atime: bool,
}

impl Options {
    /// The same, refusing changes or not.
    #[must_use]
    pub fn read_only(self, read_only: bool) -> Self {
        Options { read_only, ..self }
    }

    /// The same, leaving times of access or not.
    #[must_use]
    pub fn no_atime(self, no_atime: bool) -> Self {
        Options { no_atime, ..self }
    }
}

/// Why nothing is served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The backend cannot be opened.
    #[error("{0}")]
    Open(#[from] OpenError),
    /// This process cannot serve.
    #[error("cannot prepare the process: {0}")]
    Prepare(#[source] io::Error),
    /// The connection cannot be started.
    #[error("cannot start the connection: {0}")]
    Connect(#[from] ConnectError),
}

/// Opens `backend` and starts to serve it; returns the connection and the client's end of its socket. The extensions
/// must have been [prepared](Registry::prepare).
///
/// Threads on which requests are answered [directly](Connection::direct) must be [made ready](enter_thread) for that.
pub fn serve(registry: &Registry, backend: &OsStr, options: Options) -> Result<(Connection, UnixStream), Error> {
    limits::survive_large_writes().map_err(Error::Prepare)?;
    let max_fds = limits::for_clients(limits::raise_descriptors());
    let host = HostOptions {
        special: SpecialFiles::Create,
        no_atime: options.no_atime || options.read_only,
        ..HostOptions::default()
    };
    let mut claim = registry.backends(&host).read_only(options.read_only).open(backend)?;
    claim.options.bound_fds(max_fds);
    claim.options.answer_private_messages();
    claim.options.client = ClientKind::Kernel;
    let (ours, theirs) = UnixStream::pair().map_err(Error::Prepare)?;
    let connection = Server::with_late_threads().connect_with(theirs.into(), b"/", claim.backend, claim.options)?;
    Ok((connection, ours))
}

/// Makes the calling thread ready to answer requests: modes of new files come ready made, so it gets an umask of its
/// own, which takes nothing from them. Processes that other threads start have the user's.
pub fn enter_thread() -> io::Result<()> {
    unshare(CloneFlags::CLONE_FS)?;
    limits::clear_umask();
    Ok(())
}
