//! Where figures are asked for: a socket for each mount, which its file system's device names, and a port if one is
//! wanted.

use std::fs::{DirBuilder, Permissions, set_permissions};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;

use gofer::exporter::{self, ExporterListener};
use gofer::listener::Listener;
use nix::unistd::geteuid;

use super::Figures;

/// Root's directory.
const ROOTS: &str = "/run";

/// Answers questions by a thread of its own as long as it is there.
#[derive(Debug)]
pub(crate) struct Service {
    listener: Arc<ExporterListener>,
    _running: UnixStream,
}

impl Service {
    /// Answers those who ask for the mount of the file system `device` with `figures`, if they may be its user.
    pub(crate) fn of_mount(device: &str, figures: &Arc<Figures>) -> io::Result<Self> {
        let directory = own_directory().ok_or_else(|| io::Error::other("XDG_RUNTIME_DIR is not set"))?;
        let mode = if geteuid().is_root() { 0o755 } else { 0o700 };
        match DirBuilder::new().mode(mode).create(&directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let path = directory.join(device);
        // The kernel gives the number of a file system that is gone to the next one. Whoever listens there served that.
        let listener = Listener::take_over(&path)?;
        set_permissions(path, Permissions::from_mode(0o600))?;
        Self::start(ExporterListener::Unix(listener), figures)
    }

    /// Answers those who reach `address` with `figures`.
    pub(crate) fn at(address: SocketAddr, figures: &Arc<Figures>) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Self::start(ExporterListener::Tcp(listener), figures)
    }

    fn start(listener: ExporterListener, figures: &Arc<Figures>) -> io::Result<Self> {
        let listener = Arc::new(listener);
        let (stop, running) = UnixStream::pair()?;
        let (of_thread, figures) = (listener.clone(), figures.clone());
        let serve = move || exporter::serve(&of_thread, &stop, |path| figures.render(path));
        std::thread::Builder::new().name("statistics".into()).spawn(serve)?;
        Ok(Service { listener, _running: running })
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.listener.remove_file();
    }
}

/// What the process of the mount of the file system `device` says of `path`.
pub(crate) fn ask(device: &str, path: &str) -> io::Result<String> {
    let stream = places(device).find_map(|socket| match UnixStream::connect(socket) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        result => Some(result),
    });
    exporter::ask(stream.unwrap_or_else(|| Err(io::ErrorKind::NotFound.into()))?, path)
}

/// Removes what a process has left that did not live to see the end of its mount.
pub(crate) fn remove_stale(device: &str) {
    for socket in places(device) {
        if UnixStream::connect(&socket).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused) {
            // The next one removes it as well.
            let _ = std::fs::remove_file(socket);
        }
    }
}

/// Where the socket may be.
fn places(device: &str) -> impl Iterator<Item = PathBuf> {
    let own = own_directory();
    // Root's is only root's, but nobody else has one there.
    let roots = PathBuf::from(ROOTS).join("fusebridge");
    [own, Some(roots)].into_iter().flatten().map(move |directory| directory.join(device))
}

/// Where this user's sockets are.
fn own_directory() -> Option<PathBuf> {
    let runtime = match geteuid().is_root() {
        true => PathBuf::from(ROOTS),
        false => std::env::var_os("XDG_RUNTIME_DIR").filter(|path| !path.is_empty())?.into(),
    };
    Some(runtime.join("fusebridge"))
}
