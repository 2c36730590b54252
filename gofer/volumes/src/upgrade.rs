//! A new server that takes the place of this one.

use std::env;
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::process::{Child, Command};

use command_fds::{CommandFdExt, FdMapping};
use gofer::extension::HandDown;
use rustix::process::{Pid, Signal, getppid, kill_process};

/// Names the process whose place a new server takes.
const PREDECESSOR: &str = "GOFER_VOLUMES_PREDECESSOR";
/// Says that the socket's file is to be removed at the end.
const OWNER: &str = "GOFER_VOLUMES_OWNS_SOCKET";
/// The first descriptor of those that are passed on, see sd_listen_fds(3).
const FIRST: i32 = 3;

/// How this server was started.
pub(crate) struct Program {
    path: io::Result<PathBuf>,
    arguments: Vec<OsString>,
    /// What it passes on beside the sockets.
    hand_downs: Vec<HandDown>,
}

impl Program {
    /// This one. Comes before somebody replaces its file.
    pub(crate) fn current(hand_downs: Vec<HandDown>) -> Self {
        // What was passed on to this one is read.
        let is_read = |argument: &OsString| hand_downs.iter().any(|hand_down| hand_down.is_flag(argument));
        let arguments = env::args_os().skip(1).filter(|argument| !is_read(argument)).collect();
        Program { path: env::current_exe(), arguments, hand_downs }
    }

    /// Starts it again, with the sockets that it listens on.
    pub(crate) fn start(&self, sockets: Vec<OwnedFd>, owns_socket: bool) -> io::Result<Child> {
        let path = self.path.as_ref().map_err(|error| io::Error::new(error.kind(), error.to_string()))?;
        let mut command = Command::new(path);
        command.args(&self.arguments).env("LISTEN_FDS", sockets.len().to_string());
        // Its number is not known before it is there; without it, the descriptors are for whoever reads them.
        command.env_remove("LISTEN_PID").env_remove("LISTEN_FDNAMES");
        command.env(PREDECESSOR, std::process::id().to_string());
        if owns_socket {
            command.env(OWNER, "1");
        } else {
            command.env_remove(OWNER);
        }
        let mappings = sockets.into_iter().zip(FIRST..).map(|(parent_fd, child_fd)| FdMapping { parent_fd, child_fd });
        let mut mappings: Vec<_> = mappings.collect();
        for hand_down in &self.hand_downs {
            let (flag, fd) = hand_down.pass()?;
            command.arg(flag);
            mappings.push(FdMapping { child_fd: fd.as_raw_fd(), parent_fd: fd });
        }
        command.fd_mappings(mappings).map_err(io::Error::other)?;
        command.spawn()
    }
}

/// Whether this server removes the file of the socket that it was started with.
pub(crate) fn owns_socket() -> bool {
    env::var_os(OWNER).is_some()
}

/// Tells the service manager, and the server whose place this one takes, that it is ready.
pub(crate) fn ready() {
    let pid = std::process::id();
    let predecessor = env::var(PREDECESSOR).ok().and_then(|pid| pid.parse().ok()).and_then(Pid::from_raw);
    // A number alone could be somebody else's by now.
    let predecessor = predecessor.filter(|pid| getppid() == Some(*pid));
    let mut states = vec![sd_notify::NotifyState::Ready];
    if predecessor.is_some() {
        states.push(sd_notify::NotifyState::MainPid(pid));
    }
    notify(&states);
    if let Some(predecessor) = predecessor
        && let Err(error) = kill_process(predecessor, Signal::TERM)
    {
        tracing::warn!(%error, "cannot tell the old server that this one is ready");
    }
}

/// Tells the service manager.
pub(crate) fn notify(states: &[sd_notify::NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "cannot notify the service manager");
    }
}
