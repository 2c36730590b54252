//! `gofer serve`: a backend, to one client or to many.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{ArgMatches, Args, ValueEnum};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType, getpeername, sockopt};
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::extension::{Claim, FileAccess, OpenError, Recipient, Registry};
use crate::hostfs::{HostOptions, SpecialFiles, UdsPolicy};
use crate::listener::Listener;
use crate::log::{self, LogArgs, LogError};
use crate::volume::Mount;
use crate::{inherited, limits};
use lisafs::backend::ClientKind;
use lisafs::server::{ConnectError, Connection, Server};

/// Serves a backend.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Serve {
    /// What to serve: a directory, or NAME:ARGUMENT for an extension's file system
    backend: OsString,
    #[command(flatten)]
    to: To,
    /// Refuse all changes; implies --noatime
    #[arg(long)]
    read_only: bool,
    /// Do not update access times of files in host directories
    #[arg(long)]
    noatime: bool,
    /// What kind of client connects, which decides what it is trusted with and allowed
    #[arg(long, value_enum, default_value_t = Client::Sandbox)]
    client: Client,
    /// Who else changes the files, as the client takes it, for backends that keep something of them
    #[arg(long, value_enum, hide = true)]
    file_access: Option<FileAccess>,
    /// What UNIX sockets in host directories are for clients that ask this server for connections; with the same words
    /// as runsc's flag, as the next two
    #[arg(long, value_enum, value_name = "POLICY", default_value_t = HostUds::None)]
    host_uds: HostUds,
    /// Whether FIFOs in host directories can be opened through this server
    #[arg(long, value_enum, value_name = "POLICY", default_value_t = HostFifo::None)]
    host_fifo: HostFifo,
    /// Whether character devices in host directories can be opened through this server
    #[arg(long, value_enum, value_name = "POLICY", default_value_t = CharacterDevices::EmulatedOnly)]
    character_device_policy: CharacterDevices,
    #[command(flatten)]
    log: LogArgs,
}

const EXAMPLES: &str = "Examples:
  gofer serve --socket /run/data.sock /srv/data
      gofer serve --socket /run/scratch.sock mem:size=1g
  gofer serve --read-only --fd 3 /srv/data
      for programs that pass one end of a socket pair as descriptor 3";

/// How many channels, each with a thread, a client may have: as many as it wants to make calls at once.
const CHANNELS: usize = 512;

/// When to try again to accept a client.
const ACCEPT_AGAIN: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// Who is served.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct To {
    /// Serve the one client at the other end of this descriptor, and exit when it disconnects
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    fd: Option<RawFd>,
    /// Listen on a socket at this path and serve whoever connects
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
}

/// Kinds of clients.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Client {
    /// A sandbox, which gets no more than from runsc's own gofer: it cannot create devices, FIFOs or sockets with mknod,
    /// sees only `user` and `security` attributes, and new programs lose their set-group-ID bit
    Sandbox,
    /// A kernel that checks the permissions of its callers, as with fusebridge: it can create devices, FIFOs and
    /// sockets with mknod, keep all attributes (access control lists, file capabilities, `trusted`) and whiteouts, and decides
    /// about set-group-ID bits
    Kernel,
}

/// Which UNIX sockets of the host may be used.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum HostUds {
    /// None
    None,
    /// Those that exist may be connected to
    Open,
    /// New ones may be bound
    Create,
    /// Both
    All,
}

/// Which FIFOs of the host may be used.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum HostFifo {
    /// None
    None,
    /// Those that exist may be opened
    Open,
}

/// Which character devices of the host may be opened.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum CharacterDevices {
    /// None: the client has its own
    EmulatedOnly,
    /// All; a client may still prefer its own
    PreferEmulated,
    /// All
    Passthrough,
}

impl From<HostUds> for UdsPolicy {
    fn from(policy: HostUds) -> Self {
        match policy {
            HostUds::None => UdsPolicy::None,
            HostUds::Open => UdsPolicy::Open,
            HostUds::Create => UdsPolicy::Create,
            HostUds::All => UdsPolicy::All,
        }
    }
}

/// Why nothing is served.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("{0}")]
    Open(#[from] OpenError),
    #[error("{0}")]
    Extension(crate::extension::Error),
    #[error("--fd {fd}: {problem}")]
    Descriptor { fd: RawFd, problem: &'static str },
    #[error("cannot listen on {}: {source}", path.display())]
    Listen { path: PathBuf, source: io::Error },
    #[error("{0}")]
    Log(#[from] LogError),
    #[error("cannot prepare the process: {0}")]
    Prepare(#[source] io::Error),
    #[error("cannot wait for clients: {0}")]
    Wait(#[source] Errno),
    #[error("cannot start the connection: {0}")]
    Connect(#[from] ConnectError),
}

impl Serve {
    /// Serves until the client has gone or somebody asks to stop.
    pub(super) fn run(self, registry: &Registry, flags: &ArgMatches) -> Result<(), Failure> {
        // First of all, while the number cannot be anything else's.
        let client = self.to.fd.map(client).transpose()?;
        log::init(&self.log)?;
        super::prepare(registry, flags).map_err(Failure::Extension)?;
        limits::survive_large_writes().map_err(Failure::Prepare)?;
        let fds = limits::for_clients(limits::raise_descriptors());
        // One client may have nearly everything; with several, none may have it all.
        let max_fds = if client.is_some() { fds } else { fds / 2 };
        let host = HostOptions {
            special: match self.client {
                Client::Sandbox => SpecialFiles::Refuse,
                Client::Kernel => SpecialFiles::Create,
            },
            // A read-only mount of the kernel leaves them, too.
            no_atime: self.noatime || self.read_only,
            host_uds: self.host_uds.into(),
            host_fifo: matches!(self.host_fifo, HostFifo::Open),
            char_devices: !matches!(self.character_device_policy, CharacterDevices::EmulatedOnly),
            ..HostOptions::default()
        };
        if let Some(recipient) = registry.recipient_of(&self.backend, false)? {
            return self.hand_over(registry, recipient, client);
        }
        let kind = match self.client {
            Client::Sandbox => ClientKind::Sandbox,
            Client::Kernel => ClientKind::Kernel,
        };
        let claim =
            registry.backends(&host).read_only(self.read_only).for_access(self.file_access).open(&self.backend)?;
        let claim = claim.served_to(kind, max_fds);
        let stop = stop_signals().map_err(Failure::Prepare)?;
        match (client, self.to.socket) {
            (Some(client), _) => {
                limits::clear_umask();
                // Everything is open. The directory belongs to whoever has started this.
                std::env::set_current_dir("/").map_err(Failure::Prepare)?;
                serve_one(client, &claim, stop)
            }
            (None, Some(path)) => {
                let listener = Listener::bind(&path).map_err(|source| Failure::Listen { path, source })?;
                // The socket is as the caller's umask says, so that not everybody can connect; files are as clients
                // say.
                limits::clear_umask();
                serve_all(&listener, &claim, &stop)
            }
            (None, None) => unreachable!("clap wants one of the two"),
        }
    }
}

impl Serve {
    /// What others are told of the mount that a client is for.
    fn mount(&self) -> Mount<'static> {
        Mount { path: Path::new("/"), read_only: self.read_only, directfs: false, container: None, annotations: None }
    }

    /// Hands every client over to whoever serves the backend elsewhere.
    fn hand_over(
        &self,
        registry: &Registry,
        first: Box<dyn Recipient>,
        client: Option<OwnedFd>,
    ) -> Result<(), Failure> {
        let stop = stop_signals().map_err(Failure::Prepare)?;
        if let Some(client) = client {
            first.hand_over(client, &self.mount()).map_err(Failure::Extension)?;
            // The end of this process is the end of the connection, too.
            return until_stopped(stop, move || first.wait());
        }
        // It has shown that the volume can be had. By the time of the first client its server may have given up
        // waiting.
        drop(first);
        let another = || match registry.recipient_of(&self.backend, false)? {
            Some(recipient) => Ok(recipient),
            None => unreachable!("it is the same backend as before"),
        };
        let Some(path) = &self.to.socket else { unreachable!("clap wants one of the two") };
        let listener = Listener::bind(path).map_err(|source| Failure::Listen { path: path.clone(), source })?;
        loop {
            let fds = [stop.as_fd(), listener.as_fd()];
            if wait_for(&fds, None).map_err(Failure::Wait)? {
                return Ok(());
            }
            match listener.accept() {
                Ok(Some(client)) => {
                    let begun = another().and_then(|recipient| give(recipient, client.into(), self.mount()));
                    if let Err(error) = begun {
                        tracing::warn!("a client is not served: {error}");
                    }
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a client");
                    if wait_for(&[stop.as_fd()], Some(ACCEPT_AGAIN)).map_err(Failure::Wait)? {
                        return Ok(());
                    }
                }
            }
        }
    }
}

/// Hands `client` over and keeps `recipient` until it has ended. A server may take its time to answer, so that is left to
/// a thread.
fn give(recipient: Box<dyn Recipient>, client: OwnedFd, mount: Mount<'static>) -> Result<(), Failure> {
    let body = move || match recipient.hand_over(client, &mount) {
        Ok(()) => recipient.wait(),
        Err(error) => tracing::warn!("a client is not served: {error}"),
    };
    std::thread::Builder::new().name("volume".to_owned()).spawn(body).map(drop).map_err(Failure::Prepare)
}

/// Runs `wait` to its end, or until somebody asks to stop.
fn until_stopped(stop: UnixStream, wait: impl FnOnce() + Send + 'static) -> Result<(), Failure> {
    let (ours, theirs) = UnixStream::pair().map_err(Failure::Prepare)?;
    let waiting = move || {
        wait();
        drop(theirs);
    };
    std::thread::Builder::new().name("volume".to_owned()).spawn(waiting).map_err(Failure::Prepare)?;
    wait_for(&[stop.as_fd(), ours.as_fd()], None).map_err(Failure::Wait)?;
    drop(stop);
    Ok(())
}

/// Starts serving `client` on `server`.
fn connect(server: &Arc<Server>, client: OwnedFd, claim: &Claim) -> Result<Connection, ConnectError> {
    server.connect_with(client, b"/", claim.backend.clone(), claim.options.clone())
}

/// The inherited connection `fd`.
fn client(fd: RawFd) -> Result<OwnedFd, Failure> {
    let refuse = |problem| Failure::Descriptor { fd, problem };
    let client = inherited::take(fd).map_err(|_| refuse("this descriptor is not open"))?;
    let kind = (sockopt::socket_domain(&client), sockopt::socket_type(&client));
    if kind != (Ok(AddressFamily::UNIX), Ok(SocketType::STREAM)) || getpeername(&client).is_err() {
        return Err(refuse("this descriptor is not a connected UNIX stream socket"));
    }
    Ok(client)
}

/// Becomes readable when somebody asks to stop.
fn stop_signals() -> io::Result<UnixStream> {
    let (signalled, on_signal) = UnixStream::pair()?;
    for signal in [SIGTERM, SIGINT] {
        signal_hook::low_level::pipe::register(signal, on_signal.try_clone()?)?;
    }
    Ok(signalled)
}

fn serve_one(client: OwnedFd, claim: &Claim, stop: UnixStream) -> Result<(), Failure> {
    let connection = Arc::new(connect(&Server::with_late_channels(CHANNELS), client, claim)?);
    let to_stop = connection.clone();
    let stopper = move || {
        if wait_for(&[stop.as_fd()], None).is_ok() {
            to_stop.shut_down();
        }
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(stopper).map_err(Failure::Prepare)?;
    connection.wait();
    Ok(())
}

fn serve_all(listener: &Listener, claim: &Claim, stop: &UnixStream) -> Result<(), Failure> {
    let server = Server::with_late_channels(CHANNELS);
    let mut connections: Vec<Connection> = Vec::new();
    while !wait_for(&[stop.as_fd(), listener.as_fd()], None).map_err(Failure::Wait)? {
        connections.retain(|connection| !connection.has_ended());
        let client = match listener.accept() {
            Ok(Some(client)) => client,
            Ok(None) => continue,
            Err(error) => {
                // Most likely there are too many open files, and somebody has to leave first.
                tracing::warn!(%error, "cannot accept a client");
                if wait_for(&[stop.as_fd()], Some(ACCEPT_AGAIN)).map_err(Failure::Wait)? {
                    break;
                }
                continue;
            }
        };
        match connect(&server, client.into(), claim) {
            Ok(connection) => connections.push(connection),
            Err(error) => tracing::warn!(%error, "cannot serve a client"),
        }
    }
    for connection in &connections {
        connection.shut_down();
    }
    connections.iter().for_each(Connection::wait);
    Ok(())
}

/// Waits until one of `fds` is readable or the time is over; returns whether the first is readable.
fn wait_for(fds: &[BorrowedFd<'_>], limit: Option<Timespec>) -> Result<bool, Errno> {
    let mut polled: Vec<PollFd<'_>> = fds.iter().map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN)).collect();
    loop {
        match poll(&mut polled, limit.as_ref()) {
            Ok(_) => return Ok(polled.first().is_some_and(|first| !first.revents().is_empty())),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
}
