//! The other side of a measurement: threads of this process, or a child that runs this same program.

use std::fmt;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;

use gofer::hostfs::{HostFs, HostOptions};
use lisafs::server::{Connection, Server};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

use super::cores::Cores;
use super::ping_pong;

/// Where the other side is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Setting {
    /// In which process.
    pub place: Place,
    /// On which processors both sides are.
    pub cores: Cores,
}

impl Setting {
    /// Those that are possible here.
    pub(crate) fn all() -> impl Iterator<Item = Setting> {
        let of_place = |place| Cores::possible().iter().map(move |&cores| Setting { place, cores });
        [Place::Thread, Place::Child].into_iter().flat_map(of_place)
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = match self.place {
            Place::Thread => "same process",
            Place::Child => "child process",
        };
        write!(f, "{place}, {}", self.cores.name())
    }
}

/// In which process the other side is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In this process.
    Thread,
    /// In a child process.
    Child,
}

/// First argument of a child that serves the directory after it through the socket that is its standard input.
const SERVE: &str = "serve-for-bench";

/// First argument of a child that plays ping-pong through the memory that is its standard input.
pub(crate) const PONG: &str = "pong-for-bench";

/// Does what a child is for, if this is one.
pub(crate) fn run_if_asked() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    let stdin = || std::io::stdin().as_fd().try_clone_to_owned().expect("standard input");
    match arguments.next()?.to_str()? {
        PONG => ping_pong::answer_in_child(stdin()),
        SERVE => {
            let dir = arguments.next().expect("a directory");
            rustix::process::umask(rustix::fs::Mode::empty());
            connect(stdin(), Path::new(&dir)).wait();
        }
        _ => return None,
    }
    Some(ExitCode::SUCCESS)
}

/// Starts a child for `purpose`, with `stdin` as its standard input.
pub(crate) fn spawn(purpose: &str, argument: Option<&Path>, stdin: OwnedFd) -> Child {
    Command::new(std::env::current_exe().expect("this program's path"))
        .arg(purpose)
        .args(argument)
        .stdin(Stdio::from(stdin))
        .spawn()
        .expect("cannot start a child")
}

/// A server with one connection.
#[derive(Debug)]
pub(crate) enum Service {
    /// In this process.
    Thread(Connection),
    /// In a child.
    Child(Child),
}

impl Drop for Service {
    /// The client has left before, so that there is nothing to wait for but what the server still does.
    fn drop(&mut self) {
        match self {
            Service::Thread(connection) => connection.wait(),
            Service::Child(child) => {
                child.wait().expect("cannot wait for the child");
            }
        }
    }
}

/// Serves `dir`, and returns the client's end of the socket.
pub(crate) fn serve(setting: Setting, dir: &Path) -> (OwnedFd, Service) {
    let (ours, theirs) =
        socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).expect("cannot make sockets");
    let service = setting.cores.start(|| match setting.place {
        Place::Thread => Service::Thread(connect(theirs, dir)),
        Place::Child => Service::Child(spawn(SERVE, Some(dir), theirs)),
    });
    (ours, service)
}

fn connect(socket: OwnedFd, dir: &Path) -> Connection {
    let backend = HostFs::open(dir, HostOptions::default()).expect("cannot open the directory");
    Server::new().connect(socket, b"/", Arc::new(backend)).expect("cannot serve")
}
