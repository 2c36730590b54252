//! A backend for a client in this very process, which is a kernel's: what `gofer serve --client kernel` is for one
//! elsewhere.

use std::ffi::OsStr;
use std::io;
use std::os::unix::net::UnixStream;

use nix::sched::{CloneFlags, unshare};

use crate::extension::{FileAccess, OpenError, Registry};
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
    /// Who else changes the files, if the client says so.
    pub access: Option<FileAccess>,
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

    /// The same for a client that says who else changes the files.
    #[must_use]
    pub fn access(self, access: Option<FileAccess>) -> Self {
        Options { access, ..self }
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
    let claim = registry.backends(&host).read_only(options.read_only).for_access(options.access).open(backend)?;
    let claim = claim.served_to(ClientKind::Kernel, max_fds);
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use lisafs::Errno;
    use lisafs::client::{Client, ClientOptions};
    use lisafs::wire::CreateCommon;

    use super::*;
    use crate::extensions::shipped;

    #[test]
    fn requests_are_answered_until_the_connection_ends() {
        let registry = Registry::new(shipped()).unwrap();
        let (connection, socket) = serve(&registry, "mem:".as_ref(), Options::default()).unwrap();
        let options = ClientOptions::default().direct(connection.direct());
        let (client, root) = Client::connect(socket.into(), &options).unwrap();
        assert_eq!(client.channels(), 0);
        let new = CreateCommon::new(root.inode.control_fd, 0, 0, 0o640);
        let (made, open, donated) = client.open_create_at(new, libc::O_RDWR.cast_unsigned(), b"file").unwrap();
        assert!(donated.is_none());
        let data = vec![7; client.max_write()];
        assert_eq!(client.pwrite(open, 1, &data), Ok(data.len()));
        let read = client.pread(open, 0, 3, |source| source.to_vec());
        assert_eq!(read, Ok(vec![0, 7, 7]));
        assert_eq!(client.lookup(root.inode.control_fd, b"none").map(drop), Err(Errno::NOENT));
        assert_eq!(client.fstat(made.control_fd).map(|stat| stat.size), Ok(data.len() as u64 + 1));
        assert!(!connection.has_ended());
        client.disconnect();
        assert!(connection.wait_for(Duration::from_secs(60)));
        assert_eq!(client.fstat(made.control_fd), Err(Errno::IO));
    }

    #[test]
    fn backends_are_opened_as_they_are_asked_for() {
        let registry = Registry::new(shipped()).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let (connection, socket) =
            serve(&registry, directory.path().as_os_str(), Options::default().read_only(true)).unwrap();
        let options = ClientOptions::default().direct(connection.direct());
        let (client, root) = Client::connect(socket.into(), &options).unwrap();
        let new = CreateCommon::new(root.inode.control_fd, 0, 0, 0o640);
        assert_eq!(client.mkdir_at(new, b"dir").map(drop), Err(Errno::ROFS));
        assert!(serve(&registry, "mem:none=1".as_ref(), Options::default()).is_err());
        assert!(serve(&registry, "none:".as_ref(), Options::default()).is_err());
    }
}
