//! Servers: started here, or found running.

use std::ffi::{OsStr, OsString};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use clap::ValueEnum;
use command_fds::{CommandFdExt, FdMapping};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use gofer::extension::{FileAccess, HandDown};
use gofer::in_process;
use lisafs::server::{Connection, Direct};

use super::in_process::{Extensions, Here};
use super::{BackendSpec, hand_down};
use crate::unmount::advice;
use subprocess::wait_for;

/// The descriptor on which a started server finds its connection.
const CONNECTION: i32 = 3;

/// What stands before a backend that is to count and time calls, and print that when it gets SIGUSR1.
const STATS: &str = "stats:";

/// How long a server may take to end after its connection has.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

/// How long one may take that sends the last changes somewhere, and knows itself when that is in vain.
const LAST_CHANGES: Duration = Duration::from_secs(600);

/// Begins backends that do.
const STORE: &[u8] = b"blob:";

/// How long a server that has hung up may take to say why and end.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// The directory to serve is not there, or is none.
    #[error("cannot serve {}: {source}{}", path.display(), advice(path, source))]
    Directory {
        /// What the kernel says.
        #[source]
        source: io::Error,
        /// The directory.
        path: PathBuf,
    },
    /// No server listens on the socket.
    #[error("cannot connect to {socket}: {source}; start a server there: gofer serve --socket {socket} DIR", socket = path.display())]
    Connect {
        /// What the kernel says.
        #[source]
        source: io::Error,
        /// The socket.
        path: PathBuf,
    },
    /// Calls cannot be counted in a server that others have started.
    #[error(
        "--stats needs a server that fusebridge starts: a directory or NAME:ARGUMENT, not unix:SOCKET or exec:COMMAND"
    )]
    Stats,
    /// It cannot be served in this process.
    #[error("{0}")]
    InProcess(#[from] in_process::Error),
    /// An extension cannot serve.
    #[error("{0}")]
    Extension(#[source] gofer::extension::Error),
    /// The server's process cannot be started.
    #[error("cannot start the server: {0}")]
    Start(#[source] io::Error),
}

/// How servers for directories and extensions are started.
#[derive(Clone, Debug)]
pub struct Launcher {
    /// A program and leading arguments that make it understand `serve --fd 3 DIR`.
    pub gofer: (PathBuf, Vec<String>),
    /// Has it refuse changes.
    pub read_only: bool,
    /// Has it leave the times of access.
    pub no_atime: bool,
    /// Tells it who else changes the files.
    pub access: Option<FileAccess>,
    /// The options that say what it reports and where.
    pub log: Vec<OsString>,
    /// The extensions' own flags.
    pub flags: Vec<OsString>,
    /// What they pass on to it.
    pub hand_downs: Vec<HandDown>,
    /// Has this process pass on what servers report on stderr, so that nobody else waits for the end of ours.
    pub relay: bool,
    /// Has it count and time all calls, see [`Server::report`].
    pub stats: bool,
    /// Has it run in this process, with these extensions.
    pub in_process: Option<Extensions>,
}

/// A connection to a server, and its process if it was started for it, or itself if it is in this one.
pub struct Server {
    /// The connection. Taken by the client.
    pub socket: Option<UnixStream>,
    child: Option<Child>,
    here: Option<Here>,
    /// Passes on what the process reports.
    relay: Option<JoinHandle<()>>,
    /// It prints statistics when it gets SIGUSR1.
    is_measured: bool,
    /// It sends changes to a store when its connection has ended.
    sends_changes: bool,
}

impl Launcher {
    /// Gets a connection to the server that `spec` names.
    pub fn launch(&self, spec: &BackendSpec) -> Result<Server, LaunchError> {
        if self.stats && matches!(spec, BackendSpec::Unix(_) | BackendSpec::Exec(_)) {
            return Err(LaunchError::Stats);
        }
        match spec {
            BackendSpec::Host(path) => {
                let refuse = |source| LaunchError::Directory { source, path: path.clone() };
                // Said here, since the process that would say it otherwise is not the one that was called.
                let directory = path.canonicalize().map_err(refuse)?;
                std::fs::read_dir(&directory).map_err(refuse)?;
                let mut backend = OsString::from("host:");
                backend.push(directory);
                self.start_gofer(&backend)
            }
            BackendSpec::Extension(backend) => self.start_gofer(backend),
            BackendSpec::Unix(path) => {
                let stream =
                    UnixStream::connect(path).map_err(|source| LaunchError::Connect { source, path: path.clone() })?;
                Ok(Server::new(stream))
            }
            BackendSpec::Exec(command) => {
                let mut shell = Command::new("/bin/sh");
                shell.arg("-c").arg(command);
                self.start(shell, Vec::new())
            }
        }
    }

    fn start_gofer(&self, backend: &OsStr) -> Result<Server, LaunchError> {
        if let Some(extensions) = &self.in_process {
            let options = in_process::Options::default().read_only(self.read_only).no_atime(self.no_atime);
            let options = options.access(self.access);
            return extensions.serve(backend, options);
        }
        let mut measured = OsString::from(STATS);
        measured.push(backend);
        let counts_by_itself = backend.as_bytes().starts_with(STATS.as_bytes());
        let backend = if self.stats && !counts_by_itself { &measured } else { backend };
        let (program, arguments) = &self.gofer;
        let mut gofer = Command::new(program);
        gofer.arg0("fusebridge");
        gofer.args(arguments).arg("serve").arg("--fd").arg(CONNECTION.to_string());
        if self.read_only {
            gofer.arg("--read-only");
        }
        if self.no_atime {
            gofer.arg("--noatime");
        }
        if let Some(access) = self.access.and_then(|access| access.to_possible_value()) {
            gofer.args(["--file-access", access.get_name()]);
        }
        // As the caller's own rights allow: a mount is no sandbox.
        gofer.args(["--client", "kernel"]).args(&self.log).args(&self.flags);
        let (flags, descriptors) = hand_down(&self.hand_downs).map_err(LaunchError::Start)?;
        gofer.args(flags).arg("--").arg(backend);
        let mut server = self.start(gofer, descriptors)?;
        server.is_measured = self.stats || counts_by_itself;
        // Whatever stands before it, as a cache may.
        server.sends_changes = backend.as_bytes().windows(STORE.len()).any(|part| part == STORE);
        Ok(server)
    }

    /// Starts `command` with one end of a connection and other `descriptors`.
    fn start(&self, mut command: Command, mut descriptors: Vec<FdMapping>) -> Result<Server, LaunchError> {
        let (ours, theirs) = UnixStream::pair().map_err(LaunchError::Start)?;
        descriptors.push(FdMapping { parent_fd: theirs.into(), child_fd: CONNECTION });
        command.fd_mappings(descriptors).map_err(|error| LaunchError::Start(io::Error::other(error)))?;
        // A Ctrl-C is for us: the server ends when we have unmounted.
        command.process_group(0).stdin(Stdio::null());
        if self.relay {
            command.stdout(Stdio::null()).stderr(Stdio::piped());
        }
        let mut child = command.spawn().map_err(LaunchError::Start)?;
        let relay = child.stderr.take().map(|stderr| std::thread::spawn(move || relay(stderr)));
        let mut server = Server::new(ours);
        (server.child, server.relay) = (Some(child), relay);
        Ok(server)
    }
}

/// Passes on what a server says on stderr, which is whatever it does not report: its last words, most of all.
fn relay(stderr: ChildStderr) {
    let mut lines = BufReader::new(stderr);
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line).is_ok_and(|len| len > 0) {
        // There is nobody else to tell.
        let _ = io::stderr().write_all(&line);
        if gofer::log::is_elsewhere() {
            tracing::warn!(target: "server", "{}", String::from_utf8_lossy(&line).trim_end());
        }
        line.clear();
    }
}

impl Server {
    fn new(socket: UnixStream) -> Self {
        Server { socket: Some(socket), child: None, here: None, relay: None, is_measured: false, sends_changes: false }
    }

    /// The server of `connection`, to which `socket` leads.
    pub(crate) fn here(connection: Connection, socket: UnixStream) -> Self {
        let mut server = Server::new(socket);
        server.here = Some(Here::new(connection));
        server
    }

    /// The way to it without a socket, if it is in this process.
    pub fn direct(&self) -> Option<Direct> {
        self.here.as_ref().map(Here::direct)
    }

    /// The process, if one was started.
    pub fn process(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Has the server print how often it was called and how long that took, if it counts that.
    pub fn report(&self) -> nix::Result<()> {
        // Any other server would be ended by the signal.
        let Some(child) = self.child.as_ref().filter(|_| self.is_measured) else { return Ok(()) };
        let pid = i32::try_from(child.id()).map_err(|_| nix::Error::ESRCH)?;
        kill(Pid::from_raw(pid), Signal::SIGUSR1)
    }

    /// Whether the process was started here and has ended with an error, now or within a moment. All it has reported
    /// can be read then.
    pub fn has_failed(&mut self) -> bool {
        let Some(child) = &mut self.child else { return false };
        let has_failed = wait_for(child, LAST_WORDS).is_some_and(|status| !status.success());
        if has_failed && let Some(relay) = self.relay.take() {
            // A panic there has been reported already.
            let _ = relay.join();
        }
        has_failed
    }

    /// Waits for the process to end, now that its connection has, and ends it if it does not.
    pub fn finish(&mut self) {
        if let Some(here) = self.here.take() {
            here.finish(SHUTDOWN_TIMEOUT);
        }
        let Some(mut child) = self.child.take() else { return };
        if wait_for(&mut child, SHUTDOWN_TIMEOUT).is_some() {
            return;
        }
        if self.sends_changes {
            tracing::warn!("the server still sends changes to its store and is waited for");
            if wait_for(&mut child, LAST_CHANGES).is_some() {
                return;
            }
        }
        tracing::warn!("the server does not exit and is killed");
        if let Ok(pid) = i32::try_from(child.id()) {
            // The whole group: a shell may stand between us and the server.
            let _ = kill(Pid::from_raw(-pid), Signal::SIGKILL);
        }
        let _ = child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.socket = None;
        self.finish();
    }
}
