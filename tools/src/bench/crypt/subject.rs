//! What is compared.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use e2e::crypt::Volume;
use e2e::modes::Access;
use e2e::mount::{Mount, Point};
use e2e::process::Memory;
use e2e::{command, host, process, wait};

/// One program with one way to mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    /// gocryptfs as it is without options.
    Gocryptfs,
    /// Ours.
    Fusebridge(Access),
}

const LIMIT: Duration = Duration::from_secs(20);

impl Subject {
    /// All subjects, in the order of the table.
    pub(super) const ALL: [Self; 3] =
        [Self::Gocryptfs, Self::Fusebridge(Access::Exclusive), Self::Fusebridge(Access::Shared)];

    /// The name in the table.
    pub(super) fn name(self) -> String {
        match self {
            Self::Gocryptfs => "gocryptfs".to_owned(),
            Self::Fusebridge(access) => format!("fusebridge {}", access.word()),
        }
    }

    /// Mounts `volume` anew, with nothing of its plain files in any cache.
    pub(super) fn mount(self, volume: &Volume) -> Result<Mounted> {
        host::drop_names()?;
        match self {
            Self::Gocryptfs => Gocryptfs::mount(volume).map(Mounted::Gocryptfs),
            Self::Fusebridge(access) => volume.mount(access).map(Mounted::Fusebridge),
        }
    }
}

/// A volume that is mounted, until dropped.
pub(super) enum Mounted {
    Gocryptfs(Gocryptfs),
    Fusebridge(Mount),
}

impl Mounted {
    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Gocryptfs(mount) => mount.point.path(),
            Self::Fusebridge(mount) => mount.path(),
        }
    }

    /// The memory of each of its processes.
    pub(super) fn memory(&self) -> Result<Vec<Memory>> {
        let first = match self {
            Self::Gocryptfs(mount) => mount.child.id(),
            Self::Fusebridge(mount) => mount.pid(),
        };
        process::family(first)?.into_iter().map(process::memory).collect()
    }

    /// Unmounts.
    pub(super) fn leave(self) -> Result<()> {
        match self {
            Self::Gocryptfs(mount) => mount.leave(),
            Self::Fusebridge(mount) => mount.unmount(),
        }
    }
}

/// A mount of gocryptfs.
pub(super) struct Gocryptfs {
    // The mount goes before its process is waited for.
    point: Point,
    child: Child,
}

impl Gocryptfs {
    fn mount(volume: &Volume) -> Result<Self> {
        let point = Point::new()?;
        let mut command = Command::new("gocryptfs");
        command.args(["-fg", "-quiet", "-nosyslog", "-passfile"]).arg(volume.password_file());
        command.arg(volume.path()).arg(point.path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().context("gocryptfs")?;
        let mount = Self { point, child };
        let is_there = || host::mounted(mount.point.path()).is_ok_and(|kind| kind.is_some());
        wait::until("gocryptfs mounts", LIMIT, is_there)?;
        Ok(mount)
    }

    fn leave(mut self) -> Result<()> {
        command::succeed(Command::new("fusermount3").arg("-u").arg(self.point.path()), LIMIT)?;
        command::exit_status(&mut self.child, LIMIT).map(drop)
    }
}

impl Drop for Gocryptfs {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            process::kill(self.child.id());
            _ = self.child.wait();
        }
    }
}
