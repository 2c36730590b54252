//! Scratch directories, on memory or on the disk.

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::command;

/// Starts the names of all scratch directories, so that leftovers of a killed run can be told.
const PREFIX: &str = "fusebridge-test-";

/// A directory on a tmpfs.
pub fn memory() -> Result<TempDir> {
    make("/dev/shm")
}

/// A directory on a tmpfs that every user may enter and list.
pub fn open_to_all() -> Result<TempDir> {
    let directory = memory()?;
    set_permissions(directory.path(), Permissions::from_mode(0o755))?;
    Ok(directory)
}

/// A directory on the disk. `/var/tmp`, because `/tmp` is a tmpfs on many machines.
pub fn disk() -> Result<TempDir> {
    make("/var/tmp")
}

/// A tmpfs of its own, until dropped.
#[derive(Debug)]
pub struct Tmpfs(TempDir);

/// How long mounting and unmounting one may take.
const LIMIT: Duration = Duration::from_secs(10);

impl Tmpfs {
    /// Mounts one with `options` of mount(8), for example `size=1m`, which needs root.
    pub fn new(options: &str) -> Result<Self> {
        let directory = memory()?;
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(directory.path());
        command::succeed(&mut mount, LIMIT)?;
        Ok(Tmpfs(directory))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        // Whatever a failed test has left there may still be in use. Without it, the directory could not be removed.
        let _ = command::succeed(Command::new("umount").arg("--lazy").arg(self.path()), LIMIT);
    }
}

fn make(parent: &str) -> Result<TempDir> {
    tempfile::Builder::new()
        .prefix(PREFIX)
        .tempdir_in(parent)
        .with_context(|| format!("no scratch directory in {parent}"))
}
