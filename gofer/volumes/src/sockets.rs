//! The sockets that the server listens on: those that it was started with, or new ones.

use std::fs::{DirBuilder, Permissions, set_permissions};
use std::io;
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

use gofer::exporter::ExporterListener;
use gofer::listener::Listener;
use listenfd::ListenFd;
use rustix::io::{FdFlags, fcntl_setfd};

use crate::config::{Access, Config, MetricsAddress};
use crate::upgrade;

/// Both kinds of sockets.
pub(crate) struct Sockets {
    pub(crate) volumes: Listener,
    pub(crate) metrics: Option<ExporterListener>,
}

impl Sockets {
    /// Takes the sockets that the process was started with, and makes those that are missing. Comes before the process
    /// opens anything else.
    pub(crate) fn open(config: &Config) -> Result<Self, String> {
        let mut given = ListenFd::from_env();
        let failed = |what: &str, error: io::Error| format!("cannot listen on {what}: {error}");
        // Whose predecessor has made the socket removes it at its end.
        let path = upgrade::owns_socket().then_some(config.socket.as_path());
        let given_volumes = if given.len() > 0 { given.take_unix_listener(0) } else { Ok(None) };
        let volumes = match given_volumes.map_err(|error| failed("the inherited socket", error))? {
            Some(listener) => close_on_exec(listener).and_then(|listener| Listener::adopt(listener, path)),
            None => bind(&config.socket, mode(config)),
        };
        let volumes = volumes.map_err(|error| failed(&config.socket.display().to_string(), error))?;
        admit(&volumes, config);
        let metrics = match &config.metrics {
            None => None,
            Some(MetricsAddress::Unix(path)) => Some(
                match given.take_unix_listener(1) {
                    Ok(Some(listener)) => close_on_exec(listener)
                        .and_then(|listener| Listener::adopt(listener, Some(path)))
                        .map(ExporterListener::Unix),
                    Ok(None) | Err(_) => bind(path, 0o600).map(ExporterListener::Unix),
                }
                .map_err(|error| failed(&path.display().to_string(), error))?,
            ),
            Some(MetricsAddress::Loopback(address)) => Some(
                match given.take_tcp_listener(1) {
                    Ok(Some(listener)) => close_on_exec(listener).map(ExporterListener::Tcp),
                    Ok(None) | Err(_) => TcpListener::bind(address).map(ExporterListener::Tcp),
                }
                .map_err(|error| failed(&address.to_string(), error))?,
            ),
        };
        if let Some(ExporterListener::Tcp(listener)) = &metrics {
            listener.set_nonblocking(true).map_err(|error| failed("the metrics' port", error))?;
        }
        Ok(Sockets { volumes, metrics })
    }
}

/// Who may open the socket: everybody if others than root may connect, because then credentials decide.
fn mode(config: &Config) -> u32 {
    let is_roots = |access: &Access| access.groups.is_empty() && access.users.iter().all(|user| *user == 0);
    let mut all = config.volumes.values().filter_map(|volume| volume.access.as_ref()).chain([&config.access]);
    if all.all(is_roots) { 0o600 } else { 0o666 }
}

/// Lets those connect at `listener` whom `config` names, as far as its file is ours.
pub(crate) fn admit(listener: &Listener, config: &Config) {
    const OTHERS: u32 = 0o022;
    let mode = mode(config);
    if listener.owns_file() {
        if let Err(error) = listener.set_mode(mode) {
            tracing::error!(%error, "cannot change who may connect");
        }
    } else if listener.mode().is_some_and(|is| is & OTHERS == 0 && mode & OTHERS != 0) {
        tracing::warn!(
            "others than root may connect, but the socket's mode keeps them from it; say SocketMode=0666 in the unit"
        );
    }
}

/// Makes a socket, and the directory that it is in: below `/run` there is none after a boot.
fn bind(path: &Path, mode: u32) -> io::Result<Listener> {
    if let Some(directory) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o755).create(directory)?;
    }
    let listener = Listener::bind(path)?;
    set_permissions(path, Permissions::from_mode(mode))?;
    Ok(listener)
}

fn close_on_exec<T: AsFd>(socket: T) -> io::Result<T> {
    fcntl_setfd(&socket, FdFlags::CLOEXEC)?;
    Ok(socket)
}
