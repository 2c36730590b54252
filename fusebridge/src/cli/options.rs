//! Options that `mnt` and `run` share.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use gofer::extension::chain;
use gofer::log::LogArgs;

use super::owners::OwnerArgs;
use crate::fs::{Access, IoMode, Policy, Transport};
use crate::launch::{BackendSpec, ServerPlace};

/// How to mount.
#[derive(Clone, Debug, Args)]
pub(super) struct MountArgs {
    /// Refuse all changes; implies --noatime
    #[arg(long)]
    pub(super) read_only: bool,

    /// Whether anybody else changes the files, which decides how much the kernel may cache
    #[arg(long, value_enum, default_value_t)]
    pub(super) access: Access,

    /// How file data is transferred
    #[arg(long, value_enum, default_value_t)]
    pub(super) io: IoMode,

    /// Allow other users to access the mount (the default for root)
    #[arg(long)]
    pub(super) allow_other: bool,

    /// Maximum number of requests handled at once; threads beyond one per processor exist only while requests wait
    #[arg(long, value_name = "N", default_value_t = DEFAULT_THREADS, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(super) threads: u16,

    /// How requests come from the kernel
    #[arg(long, value_enum, default_value_t)]
    pub(super) transport: Transport,

    /// Where the server of a directory or an extension's file system runs
    #[arg(long, value_enum, value_name = "PLACE", default_value_t)]
    pub(super) server: ServerPlace,

    /// Honour set-user-id and set-group-id bits
    #[arg(long)]
    pub(super) suid: bool,

    /// Allow device nodes to be opened
    #[arg(long)]
    pub(super) dev: bool,

    /// Refuse to run programs
    #[arg(long)]
    pub(super) noexec: bool,

    /// Name in mount tables, instead of the backend's
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub(super) fsname: Option<String>,

    /// Unmount when this process dies, however that happens
    #[arg(long)]
    pub(super) auto_unmount: bool,

    #[command(flatten)]
    pub(super) owners: OwnerArgs,

    /// Disable extended attributes, which makes small writes faster
    #[arg(long)]
    pub(super) no_xattr: bool,

    /// Do not update access times
    #[arg(long)]
    pub(super) noatime: bool,

    /// How long the kernel may cache names and attributes, instead of what --access implies
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(super) ttl: Option<Duration>,

    /// Maximum number of cached inodes, each of which holds a descriptor of the server; idle ones are evicted beyond it
    /// [default: derived from RLIMIT_NOFILE]
    #[arg(long, value_name = "N", value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..))]
    pub(super) max_nodes: Option<usize>,

    /// Timeout for replies from the server; after it, the operation fails
    #[arg(long, value_name = "SECONDS", value_parser = time_limit, default_value = "30")]
    pub(super) time_limit: Duration,

    /// When the server of unix:SOCKET or exec:COMMAND ends, wait for it or start it again, and go on
    ///
    /// Calls wait for up to --time-limit, then they fail. Open files and locks are kept; files that were unlinked, or are
    /// not the same any more, are stale (ESTALE). Changes of names that were under way are looked at: they succeed or are
    /// made again, or fail with EIO if nobody can tell. What the server had in memory only is lost: the next fsync of the
    /// file fails.
    #[arg(long)]
    pub(super) reconnect: bool,

    /// Also count and time all calls to the backend; printed with the other statistics on SIGUSR1, and at the end
    #[arg(long)]
    pub(super) stats: bool,

    /// Offer the statistics to Prometheus at http://ADDRESS:PORT/metrics, where ADDRESS is a loopback address
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = loopback)]
    pub(super) metrics: Option<SocketAddr>,

    /// Record every message to and from the server in FILE, for `fusebridge trace`
    #[arg(long, value_name = "FILE")]
    pub(super) trace: Option<PathBuf>,

    /// Also record the data that is read and written, not only its size
    #[arg(long, requires = "trace")]
    pub(super) trace_data: bool,

    #[command(flatten)]
    pub(super) log: LogArgs,

    /// Changes reach the server even if it says that it refuses all: whether it does is to be tested.
    #[arg(skip)]
    pub(super) offers_changes: bool,
}

/// A place on this machine only: there is no password.
fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr =
        text.parse().map_err(|_| "not an address and port; for example 127.0.0.1:9100".to_owned())?;
    if address.ip().is_loopback() { Ok(address) } else { Err("must be a loopback address".to_owned()) }
}

/// Backends that wait for a network get the more done the more they are asked at once.
pub(super) const DEFAULT_THREADS: u16 = 64;

pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    /// More than a hundred years; clocks can still add it.
    const MOST: Duration = Duration::from_secs(1 << 32);
    let number: f64 = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    Duration::try_from_secs_f64(number).map(|time| time.min(MOST)).map_err(|error| error.to_string())
}

/// A time limit, which leaves some time, and is short enough to be added to a point in time.
pub(super) fn time_limit(text: &str) -> Result<Duration, String> {
    const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);
    match seconds(text)? {
        Duration::ZERO => Err("must be more than 0".to_owned()),
        limit if limit > LONGEST => Err("must be at most a year".to_owned()),
        limit => Ok(limit),
    }
}

/// Whether `spec` is of what ships, and so known to do well in the mount's process, and never meant to end alone.
fn is_made_for_it(spec: &BackendSpec) -> bool {
    const WRAPPERS: [&str; 3] = ["readonly", "crypt", "cache"];
    const ENDS: [&str; 3] = ["host", "mem", "blob"];
    match spec {
        BackendSpec::Host(_) => true,
        BackendSpec::Extension(backend) => {
            // What follows may be a path with a colon in it, or an address.
            let inner = chain(backend).map(|(name, _)| name).find(|name| !WRAPPERS.contains(name));
            inner.is_none_or(|name| ENDS.contains(&name))
        }
        BackendSpec::Unix(_) | BackendSpec::Exec(_) => false,
    }
}

impl MountArgs {
    /// Whether the server of `spec` runs in this process, or with what that is impossible. `serves_mountpoint`: the
    /// mountpoint is in what is served.
    ///
    /// A process that is killed while one of its threads waits for a mount of its own never ends: it has the only other
    /// thread that could answer. So it must not serve what has the mountpoint in it.
    pub(super) fn is_here(&self, spec: &BackendSpec, serves_mountpoint: bool) -> Result<bool, &'static str> {
        let obstacle = if matches!(spec, BackendSpec::Unix(_) | BackendSpec::Exec(_)) {
            Some("unix: and exec:, whose servers are elsewhere")
        } else if serves_mountpoint {
            Some("a mountpoint within what is mounted")
        } else if self.stats {
            Some("--stats")
        } else if self.transport == Transport::Fuser {
            Some("--transport fuser")
        } else {
            None
        };
        match (self.server, obstacle) {
            (ServerPlace::Separate, _) => Ok(false),
            (ServerPlace::Auto, _) => Ok(obstacle.is_none() && is_made_for_it(spec)),
            (ServerPlace::InProcess, None) => Ok(true),
            (ServerPlace::InProcess, Some(obstacle)) => Err(obstacle),
        }
    }

    /// What the file system is to be.
    pub(super) fn policy(&self, descriptor_limit: u64, is_here: bool) -> Policy {
        // This process has the server's descriptors, too.
        let descriptor_limit = if is_here { descriptor_limit / 3 * 2 } else { descriptor_limit };
        Policy {
            access: self.access,
            io: self.io,
            xattr: !self.no_xattr,
            no_atime: self.noatime,
            ttl: self.ttl,
            max_nodes: self.max_nodes.unwrap_or_else(|| Policy::max_nodes_under(descriptor_limit)),
            max_open: Policy::max_open_under(descriptor_limit),
            owners: self.owners.owners(),
        }
    }
}
