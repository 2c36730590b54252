//! What is compared.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use anyhow::Result;
use e2e::modes::{Access, Io};
use e2e::mount::{self, Mount};
use e2e::scratch;
use tempfile::TempDir;

use crate::bench::foreign::Foreign;

/// One way to the files of a slow backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    /// The files on the local disk, by a kernel that reads them by itself: what a cache would like to be.
    Disk,
    /// The slow backend without a cache.
    Backend,
    /// rclone's cache.
    Rclone,
    /// Ours, on a volume that can be changed.
    Cache,
    /// The same, served by the mount itself: no other process is woken for a request.
    InProcess,
    /// Ours, on a read-only one, of which files are given away by descriptor.
    ReadOnly,
}

impl Subject {
    /// All subjects, in the order of the table.
    pub(super) const ALL: [Self; 6] =
        [Self::Disk, Self::Backend, Self::Rclone, Self::Cache, Self::InProcess, Self::ReadOnly];

    /// The name in the table.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Disk => "local disk",
            Self::Backend => "no cache",
            Self::Rclone => "rclone",
            Self::Cache => "cache",
            Self::InProcess => "cache, in process",
            Self::ReadOnly => "cache, read-only",
        }
    }

    /// Whether it has a cache of its own, which can be warm.
    pub(super) const fn has_cache(self) -> bool {
        !matches!(self, Self::Disk | Self::Backend)
    }

    /// Mounts `files`, whose server takes so many milliseconds for each request. The cache is empty.
    pub(super) fn mount(self, files: &Path, latency: u32) -> Result<Mounted> {
        let cache = scratch::disk()?;
        let slow = format!("fault:{}?latency={latency}ms", files.display());
        let cached = || format!("cache:{slow}?dir={}&access=exclusive&size=4g&free=0", cache.path().display());
        let exclusive = |io, backend: OsString| -> Result<Command> {
            let mut command = mount::command(io, Access::Exclusive)?;
            command.arg(backend);
            Ok(command)
        };
        let way = match self {
            Self::Disk => Way::Ours(Mount::host(files, Io::Passthrough, Access::Exclusive)?),
            Self::Backend => Way::Ours(Mount::start(&mut exclusive(Io::Rpc, slow.into())?)?),
            Self::Cache => Way::Ours(Mount::start(&mut exclusive(Io::Auto, cached().into())?)?),
            Self::InProcess => {
                let mut command = exclusive(Io::Auto, cached().into())?;
                Way::Ours(Mount::start(command.args(["--server", "in-process"]))?)
            }
            Self::ReadOnly => Way::Ours(Mount::start(exclusive(Io::Auto, cached().into())?.arg("--read-only"))?),
            Self::Rclone => {
                let backend = Mount::start(&mut exclusive(Io::Rpc, slow.into())?)?;
                let rclone = Foreign::mount(|point| rclone(backend.path(), cache.path(), point))?;
                Way::Rclone(rclone, backend)
            }
        };
        Ok(Mounted { way, cache })
    }
}

/// rclone with a cache of whole files, for files that nobody else changes.
fn rclone(files: &Path, cache: &Path, point: &Path) -> Command {
    let mut command = Command::new("rclone");
    command.arg("mount").arg(files).arg(point).arg("--cache-dir").arg(cache);
    command.args(["--vfs-cache-mode", "full", "--dir-cache-time", "24h", "--attr-timeout", "24h"]);
    command
}

/// What is mounted, until dropped.
pub(super) struct Mounted {
    way: Way,
    cache: TempDir,
}

enum Way {
    Ours(Mount),
    /// It reads the files of a mount of the slow backend.
    Rclone(Foreign, Mount),
}

impl Mounted {
    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        match &self.way {
            Way::Ours(mount) => mount.path(),
            Way::Rclone(rclone, _) => rclone.path(),
        }
    }

    /// Where the cache is.
    pub(super) fn cache(&self) -> &Path {
        self.cache.path()
    }

    /// Unmounts.
    pub(super) fn leave(self) -> Result<()> {
        match self.way {
            Way::Ours(mount) => mount.unmount(),
            Way::Rclone(rclone, backend) => {
                rclone.leave()?;
                backend.unmount()
            }
        }
    }
}
