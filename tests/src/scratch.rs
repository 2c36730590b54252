//! Scratch directories, on memory or on the disk.

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt;

use anyhow::{Context, Result};
use tempfile::TempDir;

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

fn make(parent: &str) -> Result<TempDir> {
    tempfile::Builder::new()
        .prefix(PREFIX)
        .tempdir_in(parent)
        .with_context(|| format!("no scratch directory in {parent}"))
}
