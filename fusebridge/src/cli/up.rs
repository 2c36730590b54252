//! Bringing a mount up and down again.

use std::ffi::{OsStr, OsString};
use std::fs::OpenOptions;
use std::io;
use std::net::SocketAddr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use gofer::extension::chain;
use nix::unistd::geteuid;

use super::auto_unmount::Watcher;
use super::connection::{ConnectionError, connect_unless_interrupted, keep_connected};
use super::extensions::Extensions;
use super::options::MountArgs;
use super::signals::Event;
use crate::fs::{
    Access, Bridge, FuseConnection, InProcess, IoMode, MountOptions, Mounted, Transport, ahead, calls_at_most,
};
use crate::launch::{BackendSpec, Launcher, Server};
use crate::limits::Descriptors;
use crate::mountpoint::{Mountpoint, raise_read_ahead};
use crate::mounts::{Pin, table};
use crate::reconnect::Link;
use crate::statistics::{Figures, Meter, Service};
use crate::trace::{Facts, Recorder, RecorderOptions};
use crate::unmount::{UnmountError, Unmounted, detach};
use ::conform::stderr::say;
use lisafs::backend::FileType;
use lisafs::client::{Client, ClientOptions};

/// How long the end of a mount may take after it was unmounted.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

/// How often to look whether it is there, at most.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Why a mount does not come up.
#[derive(Debug, thiserror::Error)]
pub(super) enum UpError {
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    #[error("{0} is a single file; only directories can be mounted")]
    NotADirectory(String),
    #[error("/dev/fuse: {0}{advice}", advice = fuse_advice(.0))]
    NoFuse(io::Error),
    #[error("fusermount3 is missing, and only root can mount without it; install the package fuse3")]
    NoHelper,
    #[error("--io passthrough needs root; use --io direct, or leave it out")]
    NoPassthrough,
    #[error("--{0} needs root; leave it out")]
    NeedsRoot(&'static str),
    #[error("--server in-process is impossible with {0}; leave it out")]
    NotInProcess(&'static str),
    #[error("--reconnect needs a server that can be started again: unix:SOCKET or exec:COMMAND; leave it out")]
    NoReconnect,
    #[error("--reconnect is impossible with --transport fuser; leave it out")]
    NoReconnectWithFuser,
    #[error("--stats needs the extension \"stats\", which this program does not have")]
    NoStats,
    #[error("cannot write the trace {path}: {source}; use another FILE for --trace")]
    Trace { path: String, source: io::Error },
    #[error("cannot offer metrics at {address}: {source}; use another ADDRESS for --metrics")]
    Metrics { address: SocketAddr, source: io::Error },
    #[error("cannot mount on {path}: {source}", source = source.to_string().trim_end())]
    Mount { path: String, source: io::Error },
}

/// A mount that answers. Dropping it unmounts.
pub(super) struct Up {
    mountpoint: Mountpoint,
    connection: FuseConnection,
    waiter: JoinHandle<()>,
    /// There until the mount is taken down.
    server: Option<Server>,
    /// What waits for a server that is started again.
    link: Option<Arc<Link>>,
    trace: Option<Arc<Recorder>>,
    descriptors: Descriptors,
    figures: Arc<Figures>,
    watcher: Option<Watcher>,
    /// Who answers those who ask for them.
    _services: Vec<Service>,
}

impl Up {
    /// Gets a server for `spec`, connects to it and mounts it on `mountpoint`, unless one of `events` asks for an end
    /// first. What happens later goes there, too.
    pub(super) fn bring(
        args: &MountArgs,
        spec: &BackendSpec,
        extensions: &Extensions,
        mountpoint: Mountpoint,
        in_background: bool,
        events: (&Sender<Event>, &Receiver<Event>),
    ) -> Result<Up, UpError> {
        let is_root = geteuid().is_root();
        check_fuse(is_root)?;
        if args.io == IoMode::Passthrough && !is_root {
            return Err(UpError::NoPassthrough);
        }
        if let Some((flag, _)) = [("suid", args.suid), ("dev", args.dev)].iter().find(|(_, is_set)| *is_set && !is_root)
        {
            return Err(UpError::NeedsRoot(flag));
        }
        if args.reconnect && !matches!(spec, BackendSpec::Unix(_) | BackendSpec::Exec(_)) {
            return Err(UpError::NoReconnect);
        }
        if args.reconnect && args.transport == Transport::Fuser {
            return Err(UpError::NoReconnectWithFuser);
        }
        if args.stats && !extensions.names.contains(&"stats") {
            return Err(UpError::NoStats);
        }
        let trace = start_trace(args, spec, mountpoint.path())?;
        let descriptors = Descriptors::raise();
        let below = within(spec, mountpoint.path());
        let is_here = args.is_here(spec, serves(spec, mountpoint.path())).map_err(UpError::NotInProcess)?;
        let launcher = Launcher {
            gofer: ("/proc/self/exe".into(), vec![super::GOFER.into()]),
            read_only: args.read_only,
            no_atime: args.noatime,
            access: Some(args.access.into()),
            log: args.log.repeat(),
            flags: extensions.flags.clone(),
            hand_downs: extensions.hand_downs.clone(),
            relay: in_background,
            stats: args.stats,
            in_process: is_here.then(|| extensions.here.clone()),
        };
        let meter = Arc::new(Meter::new());
        let channels = calls_at_most(args.threads.into()) + ahead::MOST_THREADS;
        let plain = ClientOptions::default().max_channels(channels).time_limit(args.time_limit);
        let options = plain.clone().trace(trace.clone()).observer(meter.clone());
        let (client, root, server, link) = if args.reconnect {
            // Recorded and counted is what the mount asks for, however often.
            let first = connect_unless_interrupted(&launcher, spec, &plain, events)?;
            let is_exclusive = args.access == Access::Exclusive;
            let kept = keep_connected(first, launcher, spec.clone(), plain, &options, is_exclusive)?;
            let (client, root, server, link) = kept;
            (client, root, server, Some(link))
        } else {
            let (client, root, server) = connect_unless_interrupted(&launcher, spec, &options, events)?;
            (client, root, server, None)
        };
        if root.inode.stat.file_type() != Some(FileType::Directory) {
            // The server waits for that.
            drop(client);
            return Err(UpError::NotADirectory(spec.to_string()));
        }
        let gone = events.0.clone();
        client.on_death(move || {
            // Nobody listens any more if the mount is on its way down.
            let _ = gone.send(Event::ServerGone);
        });
        let client = Arc::new(client);
        let bridge = Arc::new(Bridge::new(client.clone(), &root.inode, args.policy(descriptors.limit, is_here)));
        if let Some(path) = below
            && let Err(error) = bridge.will_cover(&path)
        {
            tracing::warn!(%error, "cannot look at the mountpoint, which lies within what is mounted");
        }
        let stack_depth = if is_root { stack_depth(&client, &root.inode) } else { 0 };
        let options = MountOptions {
            source: args.fsname.clone().unwrap_or_else(|| spec.absolute().to_string()),
            read_only: args.read_only || (!args.offers_changes && client.refuses_changes()),
            allow_other: args.allow_other || is_root,
            suid: args.suid,
            dev: args.dev,
            noexec: args.noexec,
            threads: args.threads.into(),
            transport: args.transport,
            donates: matches!(spec, BackendSpec::Host(_)),
            in_process: in_process(args, is_here),
            stack_depth,
        };
        let figures = Arc::new(Figures {
            meter,
            backend: spec.absolute().to_string(),
            mountpoint: mountpoint.path().display().to_string(),
            since: Instant::now(),
            bridge: Arc::downgrade(&bridge),
        });
        let metrics = args
            .metrics
            .map(|address| Service::at(address, &figures).map_err(|source| UpError::Metrics { address, source }));
        let mut services: Vec<Service> = metrics.into_iter().collect::<Result<_, _>>()?;
        let (mounted, connection) = Mounted::mount(&bridge, mountpoint.path(), &options)
            .map_err(|source| UpError::Mount { path: mountpoint.path().display().to_string(), source })?;
        if is_root {
            connection.device_number().map(raise_read_ahead);
        } else {
            say("fusebridge: not root: no passthrough (slower I/O), no changes of owner, no access for other users");
        }
        let ended = events.0.clone();
        let waiter = std::thread::spawn(move || {
            if let Err(error) = mounted.wait() {
                tracing::error!(%error, "the mount ended with an error");
            }
            // As above.
            let _ = ended.send(Event::Unmounted);
        });
        match connection.device_number().map(|device| Service::of_mount(device, &figures)) {
            Some(Ok(service)) => services.push(service),
            Some(Err(error)) => tracing::debug!(%error, "`fusebridge stats` cannot ask this process"),
            None => {}
        }
        let device = connection.device_number().filter(|_| args.auto_unmount);
        let watcher = device.map(|device| Watcher::start(mountpoint.path(), device)).transpose();
        let watcher = watcher.unwrap_or_else(|error| {
            super::notice(format_args!("--auto-unmount: cannot start the process that would do it: {error}"));
            None
        });
        let server = Some(server);
        Ok(Up {
            mountpoint,
            connection,
            waiter,
            server,
            link,
            trace,
            descriptors,
            figures,
            watcher,
            _services: services,
        })
    }

    /// Where it is mounted.
    pub(super) fn path(&self) -> &Path {
        self.mountpoint.path()
    }

    /// Where every message is recorded, if `--trace` asks for it.
    pub(super) fn trace(&self) -> Option<&Arc<Recorder>> {
        self.trace.as_ref()
    }

    /// How many descriptors this process may have, and could have at first.
    pub(super) fn descriptors(&self) -> Descriptors {
        self.descriptors
    }

    /// Prints its statistics, and has the server print its own if it has any.
    pub(super) fn report(&self) {
        gofer::log::report(&self.figures.table());
        if let Some(Err(error)) = self.server.as_ref().map(Server::report) {
            super::notice(format_args!("cannot ask the server for statistics: {error}"));
        }
    }

    /// Whether it is mounted, or still used by those who were in it.
    pub(super) fn is_alive(&self) -> bool {
        self.connection.is_alive()
    }

    /// Unmounts if it still is mounted, and waits until everything is gone. Those who are still in it get errors.
    pub(super) fn take_down(mut self) -> Result<Unmounted, UnmountError> {
        let taken_down = self.unmount();
        // Nothing that is said later is of interest, and this process may be about to end.
        if let Some(Err(error)) = self.trace.take().map(|trace| trace.finish()) {
            say(format_args!("fusebridge: the trace is incomplete: {error}"));
        }
        taken_down
    }

    /// Whether all requests have been answered, or are within a while.
    pub(super) fn becomes_idle(&self) -> bool {
        let deadline = Instant::now() + SHUTDOWN_TIMEOUT;
        // Where nobody can tell it is not held against the server.
        while self.connection.waiting().is_ok_and(|waiting| waiting > 0) {
            if Instant::now() >= deadline {
                return false;
            }
            std::thread::sleep(POLL_INTERVAL);
        }
        true
    }

    fn unmount(&mut self) -> Result<Unmounted, UnmountError> {
        let Some(mut server) = self.server.take() else { return Ok(Unmounted::Gone) };
        let unmounted = unmount_own(self.mountpoint.path(), &self.connection);
        self.watcher = None;
        if let Some(link) = &self.link {
            link.end();
        }
        if self.connection.is_alive()
            && let Err(error) = self.connection.abort()
        {
            tracing::debug!(%error, "cannot end the connection of those who are still in the mount");
            if !matches!(unmounted, Ok(Unmounted::Gone)) {
                // The session lives as long as somebody is in the mount. This process does not.
                std::mem::forget(server);
                return unmounted;
            }
        }
        if self.has_ended() {
            server.finish();
            return unmounted;
        }
        tracing::warn!("requests that are still in flight are dropped");
        std::mem::forget(server);
        unmounted.map(|_| Unmounted::Unfinished)
    }

    /// Whether the mount ends now or within a while.
    fn has_ended(&self) -> bool {
        let deadline = Instant::now() + SHUTDOWN_TIMEOUT;
        let mut pause = POLL_INTERVAL / 32;
        while !self.waiter.is_finished() {
            if Instant::now() >= deadline {
                return false;
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(POLL_INTERVAL);
        }
        true
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        if let Err(error) = self.unmount() {
            say(format_args!("fusebridge: {error}"));
        }
    }
}

/// Unmounts the mount of `connection` from `path`, or from where it was moved. What others have mounted there since
/// stays.
fn unmount_own(path: &Path, connection: &FuseConnection) -> Result<Unmounted, UnmountError> {
    let Some(device) = connection.device_number() else { return Ok(Unmounted::Gone) };
    let own = |path: &Path| Pin::at(path).ok().filter(|pin| connection.owns(pin));
    let mut places = std::iter::once(path.to_path_buf()).chain(places_of(device));
    match places.find_map(|place| own(&place).map(|pin| (place, pin))) {
        Some((place, pin)) => match detach(pin, &place, device, || connection.is_alive()) {
            // Somebody was faster.
            Err(UnmountError::NotMounted(_)) => Ok(Unmounted::Gone),
            result => result,
        },
        // The device is another file system's if this one has ended since.
        None if places_of(device).contains(&path.to_path_buf()) && connection.is_alive() => {
            let reason = "something else was mounted on top of it".to_owned();
            Err(UnmountError::Refused { reason, path: path.to_path_buf() })
        }
        None => Ok(Unmounted::Gone),
    }
}

/// Where the file system with device `device` is mounted.
fn places_of(device: &str) -> Vec<PathBuf> {
    let mounts = table().unwrap_or_default().into_iter().filter(|entry| entry.device == device);
    mounts.map(|entry| OsString::from_vec(entry.path).into()).collect()
}

/// The way to `mountpoint` from the directory that is served, if it leads there.
fn within(spec: &BackendSpec, mountpoint: &Path) -> Option<PathBuf> {
    let BackendSpec::Host(directory) = spec else { return None };
    let below = mountpoint.strip_prefix(directory.canonicalize().ok()?).ok()?;
    (!below.as_os_str().is_empty()).then(|| below.to_path_buf())
}

/// Whether `mountpoint` is in a directory that `spec` names, on its own or for an extension, as far as that can be told
/// from its text.
fn serves(spec: &BackendSpec, mountpoint: &Path) -> bool {
    let is_path_above = |path: &[u8]| {
        let path = path.strip_prefix(b"file://").unwrap_or(path);
        Path::new(OsStr::from_bytes(path)).canonicalize().is_ok_and(|directory| mountpoint.starts_with(directory))
    };
    // Options can be paths, too: `dir=DIR`.
    let is_above = |argument: &OsStr| {
        let mut parts = argument.as_bytes().split(|byte| matches!(byte, b'?' | b'&'));
        parts.next().is_some_and(is_path_above)
            || parts.any(|option| option.splitn(2, |byte| *byte == b'=').nth(1).is_some_and(is_path_above))
    };
    match spec {
        BackendSpec::Host(directory) => is_above(directory.as_os_str()),
        BackendSpec::Extension(backend) => chain(backend).any(|(_, argument)| is_above(argument)),
        BackendSpec::Unix(_) | BackendSpec::Exec(_) => false,
    }
}

/// Begins the trace that `args` ask for.
fn start_trace(args: &MountArgs, spec: &BackendSpec, mountpoint: &Path) -> Result<Option<Arc<Recorder>>, UpError> {
    let Some(path) = &args.trace else { return Ok(None) };
    let name = |value: &dyn std::fmt::Debug| format!("{value:?}").to_lowercase();
    let facts = Facts::new()
        .with("backend", spec)
        .with("mountpoint", mountpoint.display())
        .with("access", name(&args.access))
        .with("io", name(&args.io))
        .with("read-only", args.read_only)
        .with("threads", args.threads)
        .with("version", env!("CARGO_PKG_VERSION"));
    let recorder = Recorder::create(path, &facts, RecorderOptions::default().data(args.trace_data));
    recorder.map(Some).map_err(|source| UpError::Trace { path: path.display().to_string(), source })
}

/// What to do about `error`, which came of opening the device.
fn fuse_advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "; as root: chmod 666 /dev/fuse, as the package fuse3 has it",
        io::ErrorKind::NotFound => "; load the kernel module (modprobe fuse) or pass the device into this container",
        _ => "; is this container allowed to use the device?",
    }
}

fn check_fuse(is_root: bool) -> Result<(), UpError> {
    OpenOptions::new().read(true).write(true).open("/dev/fuse").map_err(UpError::NoFuse)?;
    // mount(8) gives its helpers none.
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
    let has_helper = || std::env::split_paths(&path).any(|directory| directory.join("fusermount3").exists());
    if is_root || has_helper() { Ok(()) } else { Err(UpError::NoHelper) }
}

/// What the threads of the mount need to know if they answer requests themselves.
fn in_process(args: &MountArgs, is_here: bool) -> Option<InProcess> {
    if args.reconnect {
        // For a server, and then for its reply: both come to an end by themselves.
        return Some(InProcess { time_limit: args.time_limit * 2 });
    }
    is_here.then_some(InProcess { time_limit: args.time_limit })
}

/// How deep the files may lie that the kernel works on by itself: files of file systems that are stacked themselves
/// need one more than others, which is one less for what others may stack on this mount.
fn stack_depth(client: &Client, root: &lisafs::wire::Inode) -> u32 {
    const OVERLAYFS: u64 = 0x794c_7630;
    const FUSE: u64 = 0x6573_5546;
    match client.fstatfs(root.control_fd) {
        Ok(stat) if matches!(stat.kind, OVERLAYFS | FUSE) => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_the_mountpoint_in_it_is_known_by_its_paths() {
        let directory = tempfile::tempdir().unwrap();
        let (root, mountpoint) = (directory.path().display(), directory.path().join("a/mnt"));
        std::fs::create_dir_all(&mountpoint).unwrap();
        std::fs::create_dir(directory.path().join("b")).unwrap();
        let serves = |backend: String| serves(&BackendSpec::Extension(backend.into()), &mountpoint);
        assert!(serves(format!("readonly:{root}/a")));
        assert!(serves(format!("readonly:host:{root}")));
        assert!(serves(format!("cache:{root}/b?dir={root}/a&size=1g")));
        assert!(serves(format!("cache:blob:file://{root}/a?ro?dir={root}/b")));
        assert!(!serves(format!("readonly:{root}/b")));
        assert!(!serves(format!("cache:{root}/b?dir={root}/c&size=1g")));
        assert!(!serves(format!("cache:blob:file://{root}/b?ro?dir={root}/b")));
        assert!(!serves("mem:mode=755".to_owned()));
    }
}
