//! Bringing a mount up and down again.

use std::fs::OpenOptions;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::geteuid;

use super::connection::connect;
use super::extensions::Extensions;
use super::options::MountArgs;
use super::signals::Event;
use crate::client::{Client, ClientOptions, ConnectError};
use crate::fs::{Bridge, IoMode, MountOptions, Mounted};
use crate::launch::{BackendSpec, LaunchError, Launcher, Server};
use crate::mountpoint::{Mountpoint, UnmountError, Unmounted, is_mounted, raise_read_ahead, unmount};
use crate::stderr::say;
use crate::trace::{Facts, Recorder, RecorderOptions};

/// How long the end of a mount may take after it was unmounted.
const FAREWELL: Duration = Duration::from_secs(5);

/// How often to look whether it is there.
const GLANCE: Duration = Duration::from_millis(5);

/// Why a mount does not come up.
#[derive(Debug, thiserror::Error)]
pub(super) enum UpError {
    #[error("{0}")]
    Launch(#[from] LaunchError),
    #[error("no file system from {spec}: {source}")]
    Connect { spec: String, source: ConnectError },
    #[error("the file system from {0} is a single file; only directories can be mounted")]
    NotADirectory(String),
    /// The server's process has said why by itself.
    #[error("the server did not start")]
    Said,
    #[error("/dev/fuse: {0}; load the kernel module (modprobe fuse) or pass the device into this container")]
    NoFuse(io::Error),
    #[error("fusermount3 is missing, without which only root can mount; install the package fuse3")]
    NoHelper,
    #[error("--io passthrough needs root; use --io direct, or leave it out")]
    NoPassthrough,
    #[error("--stats needs the extension \"stats\", which this program does not have")]
    NoStats,
    #[error("cannot write the trace {path}: {source}; use another FILE for --trace")]
    Trace { path: String, source: io::Error },
    #[error("cannot mount on {path}: {source}")]
    Mount { path: String, source: io::Error },
}

/// A mount that answers.
pub(super) struct Up {
    mountpoint: Mountpoint,
    waiter: JoinHandle<()>,
    server: Server,
    trace: Option<Arc<Recorder>>,
}

impl Up {
    /// Gets a server for `spec`, connects to it and mounts it on `mountpoint`. What happens later goes to `events`.
    pub(super) fn bring(
        args: &MountArgs,
        spec: &BackendSpec,
        extensions: &Extensions,
        mountpoint: Mountpoint,
        in_background: bool,
        events: &Sender<Event>,
    ) -> Result<Up, UpError> {
        let is_root = geteuid().is_root();
        check_fuse(is_root)?;
        if args.io == IoMode::Passthrough && !is_root {
            return Err(UpError::NoPassthrough);
        }
        if args.stats && !extensions.names.contains(&"stats") {
            return Err(UpError::NoStats);
        }
        let trace = start_trace(args, spec, mountpoint.path())?;
        let limit = raise_descriptor_limit();
        let launcher = Launcher {
            gofer: ("/proc/self/exe".into(), vec![super::GOFER.into()]),
            read_only: args.read_only,
            log: args.log.clone(),
            flags: extensions.flags.clone(),
            silent: in_background,
            stats: args.stats,
        };
        let options = ClientOptions { time_limit: args.time_limit, trace: trace.clone(), ..ClientOptions::default() };
        let (client, root, server) = connect(&launcher, spec, &options)?;
        if root.inode.stat.file_type() != libc::S_IFDIR {
            return Err(UpError::NotADirectory(spec.to_string()));
        }
        let gone = events.clone();
        client.on_death(move || {
            // Nobody listens any more if the mount is on its way down.
            let _ = gone.send(Event::ServerGone);
        });
        let client = Arc::new(client);
        let bridge = Arc::new(Bridge::new(client.clone(), &root.inode, args.policy(limit)));
        let stack_depth = if is_root { stack_depth(&client, &root.inode) } else { 0 };
        let options = MountOptions {
            source: spec.to_string(),
            read_only: args.read_only,
            allow_other: args.allow_other || is_root,
            suid: args.suid,
            dev: args.dev,
            threads: args.threads.into(),
            stack_depth,
        };
        let mounted = Mounted::mount(&bridge, mountpoint.path(), &options)
            .map_err(|source| UpError::Mount { path: mountpoint.path().display().to_string(), source })?;
        if is_root {
            raise_read_ahead(mountpoint.path());
        } else {
            say("fusebridge: without root: no passthrough (slower I/O), no changes of owner, nobody else gets in");
        }
        let ended = events.clone();
        let waiter = std::thread::spawn(move || {
            if let Err(error) = mounted.wait() {
                tracing::error!(%error, "the mount has ended with an error");
            }
            // As above.
            let _ = ended.send(Event::Unmounted);
        });
        Ok(Up { mountpoint, waiter, server, trace })
    }

    /// Where it is mounted.
    pub(super) fn path(&self) -> &Path {
        self.mountpoint.path()
    }

    /// Where every message is recorded, if `--trace` asks for it.
    pub(super) fn trace(&self) -> Option<&Arc<Recorder>> {
        self.trace.as_ref()
    }

    /// Has the server print its statistics.
    pub(super) fn report(&self) {
        if let Err(error) = self.server.report() {
            eprintln!("fusebridge: {error}");
        }
    }

    /// Unmounts if it still is mounted, and waits until everything is gone, or only for those who are still in it to see that
    /// they are alone.
    pub(super) fn take_down(mut self, events: &Receiver<Event>) -> Result<Unmounted, UnmountError> {
        let trace = self.trace.take();
        let taken_down = self.unmount(events);
        // Nothing that is said later is of interest, and this process may be about to end.
        if let Some(Err(error)) = trace.map(|trace| trace.finish()) {
            eprintln!("fusebridge: the trace is not complete, it could not be written: {error}");
        }
        taken_down
    }

    fn unmount(mut self, events: &Receiver<Event>) -> Result<Unmounted, UnmountError> {
        let path = self.mountpoint.path();
        let unmounted = match is_mounted(path) {
            Ok(false) => Unmounted::Gone,
            Ok(true) | Err(_) => unmount(path)?,
        };
        if unmounted == Unmounted::Detached {
            // The session lives as long as somebody is in the mount. This process does not.
            std::mem::forget(self.server);
            return Ok(unmounted);
        }
        let deadline = Instant::now() + FAREWELL;
        while !self.waiter.is_finished() {
            // Its last event may have been taken before: then nothing but its end is left to wait for.
            match events.recv_timeout(GLANCE) {
                Ok(Event::Unmounted) => break,
                Ok(_) | Err(RecvTimeoutError::Timeout) if Instant::now() < deadline => {}
                Ok(_) | Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    tracing::warn!("requests are still under way and are dropped");
                    std::mem::forget(self.server);
                    return Ok(Unmounted::Unfinished);
                }
            }
        }
        self.server.finish();
        Ok(unmounted)
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
    let recorder = Recorder::create(path, &facts, RecorderOptions { data: args.trace_data });
    recorder.map(Some).map_err(|source| UpError::Trace { path: path.display().to_string(), source })
}

fn check_fuse(is_root: bool) -> Result<(), UpError> {
    OpenOptions::new().read(true).write(true).open("/dev/fuse").map_err(UpError::NoFuse)?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let has_helper = || std::env::split_paths(&path).any(|directory| directory.join("fusermount3").exists());
    if is_root || has_helper() { Ok(()) } else { Err(UpError::NoHelper) }
}

/// Raises the soft limit of descriptors to the hard one, and says what it is.
pub(super) fn raise_descriptor_limit() -> u64 {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return 1024 };
    match setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
        Ok(()) => hard,
        Err(_) => soft,
    }
}

/// How deep the files may lie that the kernel works on by itself: files of file systems that are stacked themselves need
/// one more than others, which is one less for what others may stack on this mount.
fn stack_depth(client: &Client, root: &gofer::wire::Inode) -> u32 {
    const OVERLAYFS: u64 = 0x794c_7630;
    const FUSE: u64 = 0x6573_5546;
    match client.fstatfs(root.control_fd) {
        Ok(stat) if matches!(stat.kind, OVERLAYFS | FUSE) => 2,
        _ => 1,
    }
}
