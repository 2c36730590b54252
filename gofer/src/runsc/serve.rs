//! From mounts to connections.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use oci_spec::runtime::Mount;
use rustix::fs::{FileType, fstat};

use super::args::{CharDevices, Globals};
use super::hints::is_shared_in_pod;
use super::rootfs::Served;
use crate::extension::{self, Claim, MountRequest, OpenError, Recipient, Registry, Source};
use crate::hostfs::{HostFs, HostOptions, ProcFds};
use crate::volume;
use lisafs::server::{ConnectError, Connection, Server};

/// What a connection is to serve.
pub(super) struct Mounted<'a> {
    pub(super) served: Served,
    /// The spec's entry; none for the root file system and for devices.
    pub(super) mount: Option<&'a Mount>,
    pub(super) read_only: bool,
    /// Whether the client gets a descriptor of the mount and works on that.
    pub(super) directfs: bool,
    /// Whether it serves devices to the sandbox itself.
    pub(super) devices: bool,
}

/// A connection that has its backend.
pub(super) struct Ready {
    socket: OwnedFd,
    path: std::path::PathBuf,
    pub(super) claim: Claim,
    /// Whether the client can only work through messages.
    pub(super) needs_lisafs: bool,
}

/// A connection that somebody answers for.
pub(super) enum Prepared {
    /// We do, when everything is ready.
    Here(Ready),
    /// Somebody else does already.
    HandedOver(Box<dyn Recipient>),
}

/// Those that are served here, and those that are served elsewhere.
pub(super) fn separate(prepared: Vec<Prepared>) -> (Vec<Ready>, Vec<Box<dyn Recipient>>) {
    let (mut here, mut elsewhere) = (Vec::new(), Vec::new());
    for prepared in prepared {
        match prepared {
            Prepared::Here(ready) => here.push(ready),
            Prepared::HandedOver(recipient) => elsewhere.push(recipient),
        }
    }
    (here, elsewhere)
}

/// Why a mount cannot be served.
#[derive(Debug, thiserror::Error)]
pub(super) enum ServeError {
    #[error("{0}")]
    Claim(#[from] OpenError),
    #[error("{path}: {source}")]
    HandOver { path: String, source: extension::Error },
    #[error("cannot serve {path}: {source}")]
    Host { path: String, source: std::io::Error },
    #[error(
        "the backend of {path} has no descriptor to give to the sandbox; switch directfs off with \
         --directfs=false, or, for a runsc of May 2026 or later, for this mount alone (annotation \
         dev.gvisor.spec.mount.NAME.directfs: \"off\")"
    )]
    NoDescriptor { path: String },
    #[error("cannot start the connection of {path}: {source}")]
    Connect { path: String, source: ConnectError },
}

/// What all connections have in common.
pub(super) struct Common<'a> {
    pub(super) globals: &'a Globals,
    pub(super) registry: &'a Registry,
    /// The container, if there are extensions to see it.
    pub(super) container: Option<extension::Container<'a>>,
    pub(super) proc_fds: &'a ProcFds,
    /// How many FDs a client may have.
    pub(super) max_fds: usize,
}

impl Common<'_> {
    /// Finds the backend of the connection at `socket`: the first extension's that claims its mount, or the stock one.
    pub(super) fn prepare(&self, mounted: Mounted<'_>, socket: OwnedFd) -> Result<Prepared, ServeError> {
        let Mounted { served, mount, read_only, directfs, devices } = mounted;
        let path = served.path.display().to_string();
        let options = HostOptions {
            read_only,
            donate_root: directfs,
            host_uds: self.globals.host_uds(),
            host_fifo: self.globals.host_fifo,
            char_devices: devices || self.globals.char_devices != CharDevices::EmulatedOnly,
            max_fds: self.max_fds,
            ..HostOptions::default()
        };
        let claimed = match self.container {
            Some(container) if !devices => {
                let request = MountRequest::new(container, &served.path);
                let request = request.mount(mount).read_only(read_only).directfs(directfs);
                let request = request.source(source(&served)).shared(is_shared(container, mount));
                if let Some(recipient) = self.registry.recipient(&request)? {
                    let to = volume::Mount {
                        path: &served.path,
                        read_only,
                        directfs,
                        container: container.id,
                        annotations: container.spec.annotations().as_ref(),
                    };
                    let handed_over = recipient.hand_over(socket, &to);
                    handed_over.map_err(|source| ServeError::HandOver { path: path.clone(), source })?;
                    tracing::info!("Handed {path:?} over (ro: {read_only}, directfs: {directfs})");
                    return Ok(Prepared::HandedOver(recipient));
                }
                // What extensions open is theirs, and its root nobody's.
                let proc_fds = Some(self.proc_fds.clone());
                let host = HostOptions { donate_root: false, proc_fds, ..options.clone() };
                self.registry.claim(&request, &host)?
            }
            _ => None,
        };
        let mut claim = match claimed {
            Some(claim) => {
                if directfs && !claim.options.donates_root {
                    return Err(ServeError::NoDescriptor { path });
                }
                claim
            }
            None => {
                let host = HostFs::with_proc_fds(&served.fd, self.proc_fds.clone(), options);
                let host = host.map_err(|errno| ServeError::Host { path: path.clone(), source: errno.into() })?;
                Claim::new(Arc::new(host))
            }
        };
        claim.options.bound_fds(self.max_fds);
        let by = match claim.extensions() {
            [] => "the host".to_owned(),
            names => format!("extension {}", names.join(":")),
        };
        tracing::info!("Serving {path:?} from {by} (ro: {read_only}, directfs: {directfs})");
        Ok(Prepared::Here(Ready { socket, path: served.path, claim, needs_lisafs: !directfs }))
    }
}

/// Makes all connections on `server`; without channels, and the threads for them, if every client has a descriptor to
/// work on.
pub(super) fn connect(
    server: &Arc<Server>,
    ready: Vec<Ready>,
    with_channels: bool,
) -> Result<Vec<Connection>, ServeError> {
    let start = |ready: Ready| {
        let path = mount_path(&ready.path);
        let Claim { backend, mut options, .. } = ready.claim;
        if !with_channels {
            options.max_channels = 0;
        }
        server
            .connect_with(ready.socket, path, backend, options)
            .map_err(|source| ServeError::Connect { path: ready.path.display().to_string(), source })
    };
    ready.into_iter().map(start).collect()
}

/// What is served, if that is a directory.
fn source(served: &Served) -> Option<Source> {
    let stat = fstat(&served.fd).ok().filter(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory)?;
    let mode = u16::try_from(stat.st_mode & 0o7777).ok()?;
    Some(Source { mode, uid: stat.st_uid, gid: stat.st_gid })
}

fn is_shared(container: extension::Container<'_>, mount: Option<&Mount>) -> bool {
    let annotations = container.spec.annotations().iter().flatten();
    let annotations: Vec<(&str, &str)> = annotations.map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let source = mount.and_then(|mount| mount.source().as_deref());
    source.is_some_and(|source| is_shared_in_pod(&annotations, source))
}

fn mount_path(path: &Path) -> &[u8] {
    use std::os::unix::ffi::OsStrExt;
    path.as_os_str().as_bytes()
}
