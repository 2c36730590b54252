//! Files that are there as a whole or not at all, also after the power has failed.

use std::fs::{File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::Path;

use tempfile::{Builder, NamedTempFile};

/// Makes a file with `bytes` at `path`, where none may be.
pub(super) fn create(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    prepare(path, bytes, mode)?.persist_noclobber(path).or_else(|failed| match failed.error.kind() {
        io::ErrorKind::AlreadyExists => Err(failed.error),
        // There are file systems that know neither renames without replacing nor hard links.
        _ if path.symlink_metadata().is_err() => Ok(failed.file.persist(path)?),
        _ => Err(failed.error),
    })?;
    sync_directory(path)
}

/// Replaces the file at `path`, which keeps its owner and mode.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let before = path.metadata()?;
    let file = prepare(path, bytes, before.mode() & 0o7777)?;
    let now = file.as_file().metadata()?;
    if (before.uid(), before.gid()) != (now.uid(), now.gid()) {
        fchown(file.as_file(), Some(before.uid()), Some(before.gid()))?;
    }
    file.persist(path)?;
    sync_directory(path)
}

/// Has what was done with names beside `path` last.
pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(parent(path))?.sync_all()
}

fn prepare(path: &Path, bytes: &[u8], mode: u32) -> io::Result<NamedTempFile> {
    // A name that nobody takes for a file of the volume if it is left behind.
    let mut file = Builder::new().prefix("gocryptfs.conf.").suffix(".tmp").tempfile_in(parent(path))?;
    file.write_all(bytes)?;
    file.as_file().set_permissions(Permissions::from_mode(mode))?;
    file.as_file().sync_all()?;
    Ok(file)
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}
