//! The files of a server, over a connection to it: `exec:COMMAND` and `unix:SOCKET`.

mod control;
mod open;

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use command_fds::{CommandFdExt, FdMapping};
use gofer::extension::split;
use lisafs::backend::{Attachment, Backend, Found, MessageId, Options, Result};
use lisafs::client::{Client, ClientOptions, ConnectError, Root};
use lisafs::wire::{FdId, Inode};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use subprocess::wait_for;

use control::RemoteControl;

/// The descriptor on which a command finds its connection.
const CONNECTION: i32 = 3;
/// How many requests are made at once, besides the one over the socket.
const CHANNELS: usize = 4;

/// How long a server may take to end after its connection has.
const EXIT_TIMEOUT: Duration = Duration::from_secs(5);

/// How a server is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RemoteSpec {
    /// A command that serves its descriptor 3.
    Exec(String),
    /// A socket that a server listens on.
    Unix(PathBuf),
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RemoteError {
    /// The command cannot be started.
    #[error("cannot start {0:?}: {1}")]
    Start(String, #[source] std::io::Error),
    /// Nobody listens on the socket.
    #[error("cannot connect to {path}: {1}", path = .0.display())]
    Connect(PathBuf, #[source] std::io::Error),
    /// The server is none.
    #[error("no server: {0}")]
    Mount(#[from] ConnectError),
}

impl RemoteSpec {
    /// The server that `backend` stands for, if it does for one.
    pub(crate) fn parse(backend: &str) -> Option<std::result::Result<Self, String>> {
        let (name, rest) = split(OsStr::new(backend))?;
        let rest = rest.to_str().unwrap_or_default();
        let spec = match name {
            "exec" => RemoteSpec::Exec(rest.to_owned()),
            "unix" => RemoteSpec::Unix(rest.into()),
            _ => return None,
        };
        let missing =
            || format!("{name}: needs an argument; for example exec:'gofer serve --fd 3 /srv' or unix:/run/s");
        Some(if rest.is_empty() { Err(missing()) } else { Ok(spec) })
    }
}

/// A connection to a server, and its process if it was started for it.
struct Session {
    client: Client,
    _child: Option<Process>,
}

/// A process that is ended with what it has started.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // It ends by itself as soon as its connection has.
        if wait_for(&mut self.0, EXIT_TIMEOUT).is_some() {
            return;
        }
        if let Ok(pid) = i32::try_from(self.0.id()) {
            let _ = killpg(Pid::from_raw(pid), Signal::SIGKILL);
        }
        let _ = self.0.wait();
    }
}

/// The files of a server.
pub(crate) struct Remote {
    session: Arc<Session>,
    root: Inode,
}

impl Remote {
    /// Connects to the server that `spec` says.
    pub(crate) fn start(spec: &RemoteSpec) -> std::result::Result<Self, RemoteError> {
        match spec {
            RemoteSpec::Unix(path) => {
                let connected = UnixStream::connect(path);
                Self::new(connected.map_err(|error| RemoteError::Connect(path.clone(), error))?.into(), None)
            }
            RemoteSpec::Exec(command) => {
                let failed = |error| RemoteError::Start(command.clone(), error);
                let (ours, theirs) = UnixStream::pair().map_err(failed)?;
                let mut shell = Command::new("/bin/sh");
                shell.arg("-c").arg(command).process_group(0).stdin(Stdio::null());
                let mapping = FdMapping { parent_fd: theirs.into(), child_fd: CONNECTION };
                shell.fd_mappings(vec![mapping]).map_err(|error| failed(std::io::Error::other(error)))?;
                let child = Process(shell.spawn().map_err(failed)?);
                // It holds a copy of the other end, whose end would not be heard.
                drop(shell);
                Self::new(ours.into(), Some(child))
            }
        }
    }

    fn new(socket: OwnedFd, child: Option<Process>) -> std::result::Result<Self, RemoteError> {
        let (client, Root { inode, .. }) = Client::connect(socket, &ClientOptions::default().channels(CHANNELS))?;
        Ok(Remote { session: Arc::new(Session { client, _child: child }), root: inode })
    }
}

impl Backend for Remote {
    fn options(&self) -> Options {
        let mut supported = Options::stock_messages();
        if self.session.client.supports(MessageId::FLUSH) {
            supported = supported.with(MessageId::FLUSH);
        }
        Options::default().fds_are_descriptors(false).supported(supported)
    }

    fn attach(&self) -> Result<Attachment> {
        let stat = self.session.client.fstat(self.root.control_fd)?;
        let root = RemoteControl { session: self.session.clone(), fd: self.root.control_fd, is_root: true };
        Ok(Attachment::new(Found::new(root, stat)))
    }
}

impl Session {
    /// A file that the server has told of.
    fn found(self: &Arc<Self>, inode: &Inode) -> Found {
        let control = RemoteControl { session: self.clone(), fd: inode.control_fd, is_root: false };
        Found::new(control, inode.stat)
    }

    fn close(&self, fd: FdId) {
        self.client.close(fd);
    }
}

#[cfg(test)]
mod tests {
    use gofer::extensions::memfs::{MemFs, MemOptions};
    use lisafs::backend::ClientKind;
    use lisafs::server::Server;
    use lisafs::testing::Subject;

    use super::*;

    /// Files of a backend, for a client that may see all of them.
    struct Trusting(MemFs);

    impl Backend for Trusting {
        fn options(&self) -> Options {
            self.0.options().client(ClientKind::Kernel)
        }

        fn attach(&self) -> Result<Attachment> {
            self.0.attach()
        }
    }

    /// The files of a server in this process.
    fn remote() -> Subject {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let files = Trusting(MemFs::new(MemOptions::default()).unwrap());
        let connection = Server::new().connect(theirs.into(), b"/", Arc::new(files)).unwrap();
        Subject::new(Remote::new(ours.into(), None).unwrap()).with(connection)
    }

    lisafs::testing::suite!(server, Capabilities::all(), remote);

    #[test]
    fn mistakes_are_told_in_one_line() {
        let parse = |text: &str| RemoteSpec::parse(text).map(|spec| spec.map_err(|error| error.lines().count()));
        assert_eq!(parse("exec:"), Some(Err(1)));
        assert_eq!(parse("unix:/run/s"), Some(Ok(RemoteSpec::Unix("/run/s".into()))));
        assert_eq!((parse("mem:"), parse("/srv")), (None, None));
        let error = Remote::start(&RemoteSpec::Unix("/nonexistent".into())).err().unwrap().to_string();
        assert_eq!(error, "cannot connect to /nonexistent: No such file or directory (os error 2)");
        let error = Remote::start(&RemoteSpec::Exec("exit 1".into())).err().unwrap().to_string();
        assert!(error.starts_with("no server: "), "{error}");
    }
}
