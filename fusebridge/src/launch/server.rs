//! Servers: started here, or found running.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use command_fds::{CommandFdExt, FdMapping};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::BackendSpec;

/// The descriptor on which a started server finds its connection.
const CONNECTION: i32 = 3;

/// How long a server may take to end after its connection has.
const FAREWELL: Duration = Duration::from_secs(5);

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// The directory to serve is not there, or is none.
    #[error("cannot serve {}: {source}", path.display())]
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
    /// What it reports, see `gofer serve --log`.
    pub log: String,
    /// The extensions' own flags.
    pub flags: Vec<OsString>,
    /// Keeps servers from reporting anything on stderr.
    pub silent: bool,
}

/// A connection to a server, and its process if it was started for it.
pub struct Server {
    /// The connection. Taken by the client.
    pub socket: Option<OwnedFd>,
    child: Option<Child>,
}

impl Launcher {
    /// Gets a connection to the server that `spec` names.
    pub fn launch(&self, spec: &BackendSpec) -> Result<Server, LaunchError> {
        match spec {
            BackendSpec::Host(path) => {
                let refuse = |source| LaunchError::Directory { source, path: path.clone() };
                // Said here, since the process that would say it otherwise is not the one that was called.
                let directory = path.canonicalize().map_err(refuse)?;
                std::fs::read_dir(&directory).map_err(refuse)?;
                self.start_gofer(directory.as_os_str())
            }
            BackendSpec::Extension(backend) => self.start_gofer(backend),
            BackendSpec::Unix(path) => {
                let stream =
                    UnixStream::connect(path).map_err(|source| LaunchError::Connect { source, path: path.clone() })?;
                Ok(Server { socket: Some(stream.into()), child: None })
            }
            BackendSpec::Exec(command) => {
                let mut shell = Command::new("/bin/sh");
                shell.arg("-c").arg(command);
                self.start(shell)
            }
        }
    }

    fn start_gofer(&self, backend: &OsStr) -> Result<Server, LaunchError> {
        let (program, arguments) = &self.gofer;
        let mut gofer = Command::new(program);
        gofer.args(arguments).arg("serve").arg("--fd").arg(CONNECTION.to_string());
        if self.read_only {
            gofer.arg("--read-only");
        }
        // As the caller's own rights allow: a mount is no sandbox.
        gofer.args(["--special", "create", "--log", &self.log]).args(&self.flags).arg("--").arg(backend);
        self.start(gofer)
    }

    /// Starts `command` with one end of a connection.
    fn start(&self, mut command: Command) -> Result<Server, LaunchError> {
        let (ours, theirs) = UnixStream::pair().map_err(LaunchError::Start)?;
        let mapping = FdMapping { parent_fd: theirs.into(), child_fd: CONNECTION };
        command.fd_mappings(vec![mapping]).map_err(|error| LaunchError::Start(io::Error::other(error)))?;
        // A Ctrl-C is for us: the server ends when we have unmounted.
        command.process_group(0).stdin(Stdio::null());
        if self.silent {
            command.stdout(Stdio::null()).stderr(Stdio::null());
        }
        let child = command.spawn().map_err(LaunchError::Start)?;
        Ok(Server { socket: Some(ours.into()), child: Some(child) })
    }
}

impl Server {
    /// The process, if one was started.
    pub fn process(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Waits for the process to end, now that its connection has, and ends it if it does not.
    pub fn finish(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        let deadline = Instant::now() + FAREWELL;
        let mut pause = Duration::from_millis(1);
        while matches!(child.try_wait(), Ok(None)) {
            if Instant::now() > deadline {
                tracing::warn!("the server does not end by itself and is killed");
                if let Ok(pid) = i32::try_from(child.id()) {
                    // The whole group: a shell may stand between us and the server.
                    let _ = kill(Pid::from_raw(-pid), Signal::SIGKILL);
                }
                let _ = child.wait();
                return;
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(50));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.socket = None;
        self.finish();
    }
}
