//! The server from its start to its end.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::Builder;
use std::time::{Duration, Instant};

use gofer::clap::ArgMatches;
use gofer::exporter::{self, ExporterListener};
use gofer::extension::Registry;
use gofer::limits;
use parking_lot::Mutex;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use sd_notify::NotifyState;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR2};

use crate::config::{Config, ConfigError};
use crate::connections::Connections;
use crate::metrics;
use crate::peer::Peer;
use crate::pending::Pending;
use crate::shared::Shared;
use crate::sockets::{Sockets, admit};
use crate::takes::{Arrival, turn_away};
use crate::upgrade::{self, Program};
use crate::volumes::{DEEP_STACK, Volumes};

/// Enough for an answer to whoever reads figures.
const STACK: usize = 512 << 10;
/// How long the last answers may take when everything ends.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);
/// When to try again to accept a client.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// Why nothing is served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServeError {
    #[error("{0}")]
    Config(#[from] ConfigError),
    #[error("{0}")]
    Extension(gofer::extension::Error),
    #[error("{0}")]
    Listen(String),
    #[error("cannot prepare the process: {0}")]
    Prepare(#[from] io::Error),
    #[error("cannot wait for clients: {0}")]
    Wait(#[from] Errno),
}

/// Signals, and other reasons to look around.
struct Events {
    term: UnixStream,
    hup: UnixStream,
    usr2: UnixStream,
    child: UnixStream,
    /// Somebody has something for the main loop.
    wake: UnixStream,
}

/// The number of a new connection, and its control socket.
type Arrived = (u64, Arc<OwnedFd>);

struct Main {
    shared: Arc<Shared>,
    path: PathBuf,
    pending: Arc<Pending>,
    /// Control sockets by the number of their connection.
    controls: HashMap<u64, Arc<OwnedFd>>,
    arrived: Receiver<Arrived>,
    /// Where they come from.
    arrivals: Sender<Arrived>,
    waker: Arc<UnixStream>,
    program: Program,
    /// The new server, if one was started.
    successor: Option<Child>,
    metrics: Option<Metrics>,
}

/// Where metrics are read, by a thread of their own as long as `_running` is there.
struct Metrics {
    listener: Arc<ExporterListener>,
    _running: UnixStream,
}

/// Serves the volumes of the file at `path` until somebody asks to stop.
pub(crate) fn serve(path: &Path, registry: Registry, flags: &ArgMatches) -> Result<(), ServeError> {
    let config = Config::read(path, &registry)?;
    let backends: Vec<&OsStr> = config.volumes.values().map(|volume| volume.backend.as_ref()).collect();
    let program = Program::current(registry.hand_down(&backends, flags).map_err(ServeError::Extension)?);
    // First of all, while descriptors have the numbers that they were given.
    let sockets = Sockets::open(&config).map_err(ServeError::Listen)?;
    limits::survive_large_writes()?;
    let fds = limits::for_clients(limits::raise_descriptors());
    limits::clear_umask();
    let (wake, waker) = UnixStream::pair()?;
    for end in [&wake, &waker] {
        end.set_nonblocking(true)?;
    }
    let events = Events {
        term: signals(&[SIGTERM, SIGINT])?,
        hup: signals(&[SIGHUP])?,
        usr2: signals(&[SIGUSR2])?,
        child: signals(&[signal_hook::consts::SIGCHLD])?,
        wake,
    };
    let shared = Arc::new(Shared {
        registry,
        connections: Connections::new(waker.try_clone()?),
        volumes: Volumes::default(),
        // None may have them all.
        most_fds: fds / 2,
        refusals: AtomicU64::default(),
        config: Mutex::new(Arc::new(config)),
    });
    let metrics = sockets.metrics.map(|listener| Metrics::start(listener, &shared)).transpose()?;
    let (arrivals, arrived) = channel();
    let main = Main {
        shared,
        path: path.to_owned(),
        pending: Arc::default(),
        controls: HashMap::new(),
        arrived,
        arrivals,
        waker: Arc::new(waker),
        program,
        successor: None,
        metrics,
    };
    upgrade::ready();
    let shared = main.shared.clone();
    let result = main.run(sockets.volumes, &events);
    shared.registry.end();
    result
}

impl Metrics {
    fn start(listener: ExporterListener, shared: &Arc<Shared>) -> io::Result<Self> {
        let listener = Arc::new(listener);
        let (stop, running) = UnixStream::pair()?;
        let (of_thread, shared) = (listener.clone(), shared.clone());
        let render = move |path: &str| (path == "/metrics").then(|| metrics::render(&shared));
        let body = move || exporter::serve(&of_thread, &stop, render);
        Builder::new().name("metrics".to_owned()).stack_size(STACK).spawn(body)?;
        Ok(Metrics { listener, _running: running })
    }
}

/// Becomes readable when one of `numbers` arrives.
fn signals(numbers: &[i32]) -> io::Result<UnixStream> {
    let (signalled, on_signal) = UnixStream::pair()?;
    signalled.set_nonblocking(true)?;
    for signal in numbers {
        signal_hook::low_level::pipe::register(*signal, on_signal.try_clone()?)?;
    }
    Ok(signalled)
}

/// Takes what is there, and says whether that was anything.
fn drain(mut from: &UnixStream) -> bool {
    let mut buffer = [0; 256];
    let mut any = false;
    while from.read(&mut buffer).is_ok_and(|read| read > 0) {
        any = true;
    }
    any
}

impl Main {
    fn run(mut self, listener: gofer::listener::Listener, events: &Events) -> Result<(), ServeError> {
        let mut again = None;
        loop {
            let accepts = if again.is_none() { Some(listener.as_fd()) } else { None };
            self.wait(accepts, events, again)?;
            if drain(&events.term) {
                break;
            }
            if drain(&events.hup) {
                self.reload(&listener);
            }
            if drain(&events.usr2) {
                self.upgrade(&listener);
            }
            if drain(&events.child) {
                self.look_after_successor();
            }
            again = self.accept(&listener).err().map(|error| {
                // Most likely there are too many open files, and somebody has to leave first.
                tracing::warn!(%error, "cannot accept a client");
                Instant::now() + ACCEPT_AGAIN
            });
        }
        let is_replaced = self.successor.is_some();
        if is_replaced {
            listener.leave_file();
            // Readers get the new server's.
            if let Some(metrics) = self.metrics.take() {
                metrics.listener.leave_file();
            }
        } else {
            upgrade::notify(&[NotifyState::Stopping]);
        }
        drop(listener);
        self.drain(events)?;
        self.shared.volumes.close();
        if let Some(metrics) = &self.metrics {
            metrics.listener.remove_file();
        }
        Ok(())
    }

    /// Waits for the last connection, a second signal, or the end of the time.
    fn drain(&mut self, events: &Events) -> Result<(), ServeError> {
        let left = self.shared.connections.count();
        if left > 0 {
            tracing::info!("waiting for {left} connections");
        }
        let mut deadline = Instant::now() + Duration::from_secs(self.shared.config().drain);
        let mut is_asked = false;
        while self.shared.connections.count() > 0 || !self.pending.is_empty() {
            self.wait(None, events, Some(deadline))?;
            if drain(&events.term) || Instant::now() >= deadline {
                if is_asked {
                    let left = self.shared.connections.count();
                    tracing::warn!("{left} connections did not end in time");
                    break;
                }
                is_asked = true;
                self.shared.connections.end_all();
                deadline = Instant::now() + SHUTDOWN_TIMEOUT;
                if !self.pending.is_empty() && self.shared.connections.count() == 0 {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Waits for whatever happens next, and does what is due about connections that have begun or ended.
    fn wait(&mut self, listener: Option<BorrowedFd<'_>>, events: &Events, until: Option<Instant>) -> Result<(), Errno> {
        let fixed = [&events.term, &events.hup, &events.usr2, &events.child, &events.wake].map(AsFd::as_fd);
        let mut polled: Vec<PollFd<'_>> =
            fixed.into_iter().chain(listener).map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
        let first = polled.len();
        let numbers: Vec<u64> = self.controls.keys().copied().collect();
        polled.extend(self.controls.values().map(|fd| PollFd::from_borrowed_fd(fd.as_fd(), PollFlags::RDHUP)));
        let limit = until.map(|until| {
            let left = until.saturating_duration_since(Instant::now());
            Timespec { tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX), tv_nsec: left.subsec_nanos().into() }
        });
        match poll(&mut polled, limit.as_ref()) {
            Ok(_) => {}
            Err(Errno::INTR) => return Ok(()),
            Err(error) => return Err(error),
        }
        let gone: Vec<u64> =
            numbers.iter().zip(&polled[first..]).filter(|(_, fd)| !fd.revents().is_empty()).map(|(n, _)| *n).collect();
        drop(polled);
        for number in gone {
            self.controls.remove(&number);
            self.shared.connections.end(number);
        }
        if drain(&events.wake) {
            while let Ok((number, control)) = self.arrived.try_recv() {
                self.controls.insert(number, control);
            }
            self.shared.connections.reap();
            self.shared.volumes.tidy(&self.shared.config());
        }
        Ok(())
    }

    /// Takes all clients that wait.
    fn accept(&self, listener: &gofer::listener::Listener) -> io::Result<()> {
        while let Some(client) = listener.accept()? {
            let control: Arc<OwnedFd> = Arc::new(client.into());
            let Ok(peer) = Peer::of(&*control) else { continue };
            let config = self.shared.config();
            let mut accesses =
                config.volumes.values().filter_map(|volume| volume.access.as_ref()).chain([&config.access]);
            let own = rustix::process::geteuid().as_raw();
            if ![0, own].contains(&peer.user) && !accesses.any(|access| access.allows(peer.user, peer.group)) {
                self.shared.refused();
                turn_away(&control, &peer);
                continue;
            }
            let arrival = Arrival { shared: self.shared.clone(), control: control.clone(), peer };
            let (pending, waker, arrived) = (self.pending.clone(), self.waker.clone(), self.arrivals.clone());
            let attend = move || {
                if let Some(number) = arrival.attend(&pending) {
                    // The main loop has ended if nobody receives it.
                    let _ = arrived.send((number, control));
                }
                // In any case: somebody may wait for the last one that is pending.
                let _ = rustix::io::write(&*waker, &[0]);
            };
            Builder::new().name("hand-over".to_owned()).stack_size(DEEP_STACK).spawn(attend)?;
        }
        Ok(())
    }

    fn reload(&self, listener: &gofer::listener::Listener) {
        upgrade::notify(&[NotifyState::Reloading]);
        match Config::read(&self.path, &self.shared.registry) {
            Ok(config) => {
                tracing::info!("reloaded {}: {} volumes", self.path.display(), config.volumes.len());
                let old = std::mem::replace(&mut *self.shared.config.lock(), Arc::new(config));
                let new = self.shared.config();
                if (&old.socket, &old.metrics) != (&new.socket, &new.metrics) {
                    tracing::warn!("socket and metrics do not change until the server is restarted");
                }
                admit(listener, &new);
                self.shared.volumes.tidy(&new);
            }
            Err(error) => tracing::error!("keeping the old configuration: {error}"),
        }
        upgrade::notify(&[NotifyState::Ready]);
    }

    fn upgrade(&mut self, listener: &gofer::listener::Listener) {
        if self.successor.is_some() {
            return tracing::warn!("a new server is already starting");
        }
        let sockets = listener.as_fd().try_clone_to_owned().and_then(|volumes| {
            let metrics =
                self.metrics.as_ref().map(|metrics| metrics.listener.as_fd().try_clone_to_owned()).transpose()?;
            Ok([Some(volumes), metrics].into_iter().flatten().collect())
        });
        match sockets.and_then(|sockets| self.program.start(sockets, listener.owns_file())) {
            Ok(child) => {
                tracing::info!("a new server is starting, process {}", child.id());
                self.successor = Some(child);
            }
            Err(error) => tracing::error!(%error, "cannot start a new server"),
        }
    }

    /// A new server that ends before it was ready is none.
    fn look_after_successor(&mut self) {
        if let Some(status) = self.successor.as_mut().and_then(|child| child.try_wait().ok().flatten()) {
            tracing::error!("the new server failed to start ({status}); this one continues");
            self.successor = None;
        }
    }
}
