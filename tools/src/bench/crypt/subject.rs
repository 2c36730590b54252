//! What is compared.

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use e2e::crypt::Volume;
use e2e::modes::Access;
use e2e::mount::Mount;
use e2e::process::Memory;
use e2e::{host, process};

use crate::bench::foreign::Foreign;

/// One program with one way to mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    /// gocryptfs as it is without options.
    Gocryptfs,
    /// Ours.
    Fusebridge(Access),
}

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
            Self::Gocryptfs => Foreign::mount(|point| {
                let mut command = Command::new("gocryptfs");
                command.args(["-fg", "-quiet", "-nosyslog", "-passfile"]).arg(volume.password_file());
                command.arg(volume.path()).arg(point);
                command
            })
            .map(Mounted::Gocryptfs),
            Self::Fusebridge(access) => volume.mount(access).map(Mounted::Fusebridge),
        }
    }
}

/// A volume that is mounted, until dropped.
pub(super) enum Mounted {
    Gocryptfs(Foreign),
    Fusebridge(Mount),
}

impl Mounted {
    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Gocryptfs(mount) => mount.path(),
            Self::Fusebridge(mount) => mount.path(),
        }
    }

    /// The memory of each of its processes.
    pub(super) fn memory(&self) -> Result<Vec<Memory>> {
        let first = match self {
            Self::Gocryptfs(mount) => mount.pid(),
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
