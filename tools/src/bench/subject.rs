//! What is compared.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use e2e::modes::{Access, Io};
use e2e::mount::{self, Mount};
use e2e::volumes::VolumeServer;
use e2e::{command, host};
use tempfile::TempDir;

/// One way to reach a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// The directory itself.
    Native,
    /// The usual FUSE mirror, written in C.
    Bindfs,
    /// Ours.
    Fusebridge(Io, Access),
    /// Ours, with a volume server outside.
    Volume(Io, Access),
}

impl Subject {
    /// All subjects, in the order of the table.
    pub(crate) const ALL: [Self; 8] = [
        Self::Native,
        Self::Bindfs,
        Self::Fusebridge(Io::Auto, Access::Exclusive),
        Self::Fusebridge(Io::Auto, Access::Shared),
        Self::Fusebridge(Io::Rpc, Access::Exclusive),
        Self::Fusebridge(Io::Rpc, Access::Shared),
        Self::Volume(Io::Rpc, Access::Exclusive),
        Self::Volume(Io::Rpc, Access::Shared),
    ];

    /// The name in the table.
    pub(crate) fn name(self) -> String {
        match self {
            Self::Native => "native".to_owned(),
            Self::Bindfs => "bindfs".to_owned(),
            Self::Fusebridge(io, access) => format!("fusebridge {} {}", io.word(), access.word()),
            Self::Volume(io, access) => format!("a volume, {} {}", io.word(), access.word()),
        }
    }

    /// Makes `directory` reachable, with nothing about it in the caches of the kernel but the pages and inodes of the
    /// directory itself.
    pub(crate) fn fresh(self, directory: &Path) -> Result<Reached> {
        match self {
            Self::Native => {
                host::drop_names()?;
                Ok(Reached::Native(directory.to_path_buf()))
            }
            Self::Bindfs => Bindfs::mount(directory).map(Reached::Bindfs),
            Self::Fusebridge(io, access) => Mount::host(directory, io, access).map(Reached::Fusebridge),
            Self::Volume(io, access) => {
                let server = VolumeServer::start(&format!("data = '{}'", directory.display()))?;
                let mount = Mount::start(mount::command(io, access)?.arg(server.backend("data")))?;
                Ok(Reached::Volume(mount, server))
            }
        }
    }
}

/// A directory within reach, until dropped.
pub(crate) enum Reached {
    Native(PathBuf),
    Bindfs(Bindfs),
    Fusebridge(Mount),
    Volume(Mount, VolumeServer),
}

impl Reached {
    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Native(path) => path,
            Self::Bindfs(bindfs) => bindfs.point.path(),
            Self::Fusebridge(mount) | Self::Volume(mount, _) => mount.path(),
        }
    }

    /// Takes it away again.
    pub(crate) fn leave(self) -> Result<()> {
        match self {
            Self::Native(_) | Self::Bindfs(_) => Ok(()),
            Self::Fusebridge(mount) => mount.unmount(),
            Self::Volume(mount, server) => {
                mount.unmount()?;
                server.stop()
            }
        }
    }
}

/// A bindfs mount.
pub(crate) struct Bindfs {
    point: TempDir,
}

const LIMIT: Duration = Duration::from_secs(10);

impl Bindfs {
    fn mount(directory: &Path) -> Result<Self> {
        let point = TempDir::new()?;
        // It returns when the mount answers.
        command::succeed(Command::new("bindfs").arg(directory).arg(point.path()), LIMIT)?;
        Ok(Self { point })
    }
}

impl Drop for Bindfs {
    fn drop(&mut self) {
        _ = command::run(Command::new("umount").arg(self.point.path()), LIMIT);
    }
}
