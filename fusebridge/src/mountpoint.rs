//! The directory that a file system is mounted on.

use std::ffi::OsStr;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::mounts::mounted_on;
use crate::unmount::{advice, is_dead, unmount_dead};

/// Why something cannot be mounted on.
#[derive(Debug, thiserror::Error)]
pub enum MountpointError {
    /// It cannot be looked at.
    #[error("cannot use {} as mountpoint: {source}{}", path.display(), advice(path, source))]
    Unusable {
        /// What the kernel says.
        #[source]
        source: io::Error,
        /// The mountpoint.
        path: PathBuf,
    },
    /// It is no directory.
    #[error("mountpoint {} is not a directory", .0.display())]
    NotADirectory(PathBuf),
    /// There is something in it.
    #[error("mountpoint {} is not empty; mount on an empty directory", .0.display())]
    NotEmpty(PathBuf),
    /// Something is mounted on it.
    #[error("{path} is already mounted; unmount it first: fusebridge umount {path}", path = .0.display())]
    Mounted(PathBuf),
    /// A mount whose process is gone is left on it, of another program or of somebody else.
    #[error("{path} is a stale mount whose process has died; unmount it first: fusebridge umount {path}", path = .0.display())]
    Dead(PathBuf),
    /// No temporary directory can be made.
    #[error("cannot make a temporary mountpoint: {0}")]
    Temporary(#[source] io::Error),
}

/// A directory to mount on. A temporary one is removed in the end.
#[derive(Debug)]
pub struct Mountpoint {
    path: PathBuf,
    temporary: bool,
    was_dead: bool,
}

impl Mountpoint {
    /// Checks that `path` can be mounted on. A mount of ours whose process has died is taken away.
    pub fn at(path: &Path) -> Result<Self, MountpointError> {
        if is_dead(path) {
            return Self::in_place_of_dead(path);
        }
        match Self::check(path) {
            // It has died just now. What the kernel keeps of io_uring goes a while after its process.
            Err(MountpointError::Unusable { source, .. }) if is_not_connected(&source) => Self::in_place_of_dead(path),
            checked => checked,
        }
    }

    fn in_place_of_dead(path: &Path) -> Result<Self, MountpointError> {
        unmount_dead(path).map_err(|_| MountpointError::Dead(path.to_path_buf()))?;
        let mut mountpoint = Self::check(path)?;
        mountpoint.was_dead = true;
        Ok(mountpoint)
    }

    fn check(path: &Path) -> Result<Self, MountpointError> {
        let unusable = |source| MountpointError::Unusable { source, path: path.to_path_buf() };
        let canonical = path.canonicalize().map_err(unusable)?;
        let metadata = canonical.symlink_metadata().map_err(unusable)?;
        if !metadata.is_dir() {
            return Err(MountpointError::NotADirectory(path.to_path_buf()));
        }
        if !mounted_on(&canonical).map_err(unusable)?.is_empty() {
            return Err(MountpointError::Mounted(canonical));
        }
        if canonical.read_dir().map_err(unusable)?.next().is_some() {
            return Err(MountpointError::NotEmpty(path.to_path_buf()));
        }
        Ok(Mountpoint { path: canonical, temporary: false, was_dead: false })
    }

    /// A new directory among the temporary files.
    pub fn temporary() -> Result<Self, MountpointError> {
        let directory = tempfile::Builder::new().prefix(PREFIX).tempdir().map_err(MountpointError::Temporary)?;
        // Kept: removing it with all that is in it would, if something went wrong, remove the user's files.
        let path = directory.keep();
        Ok(Mountpoint { path: path.canonicalize().unwrap_or(path), temporary: true, was_dead: false })
    }

    /// Whether a mount was taken away from it whose process had died.
    pub fn was_dead(&self) -> bool {
        self.was_dead
    }

    /// Where it is, without symbolic links.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn is_not_connected(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ENOTCONN)
}

impl Drop for Mountpoint {
    fn drop(&mut self) {
        if self.temporary
            && let Err(error) = std::fs::remove_dir(&self.path)
            // `fusebridge umount` may have been faster.
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, path = %self.path.display(), "cannot remove the temporary mountpoint");
        }
    }
}

/// What the names of temporary mountpoints begin with, and how many letters follow.
const PREFIX: &str = "fusebridge-";
const LETTERS: usize = 6;

/// Removes the directory `path` if it is a temporary mountpoint that nothing is mounted on any more: whoever has made it
/// may not have lived to remove it.
pub fn remove_left_over(path: &Path) {
    let name = path.file_name().and_then(OsStr::to_str).and_then(|name| name.strip_prefix(PREFIX));
    let is_ours =
        name.is_some_and(|letters| letters.len() == LETTERS && letters.bytes().all(|c| c.is_ascii_alphanumeric()));
    // Among other temporary files, to which everybody adds.
    let is_temporary = |parent: &Path| parent.metadata().is_ok_and(|parent| parent.mode() & 0o1000 != 0);
    if is_ours && path.parent().is_some_and(is_temporary) {
        // It is not empty if something else is mounted there, and may be gone already.
        let _ = std::fs::remove_dir(path);
    }
}

/// Lets the kernel read ahead further in the file system `device`, as `major:minor`, than it offers by default, for
/// which one must be root.
pub fn raise_read_ahead(device: &str) {
    const KILOBYTES: &str = "1024";
    let setting = format!("/sys/class/bdi/{device}/read_ahead_kb");
    if let Err(error) = std::fs::write(&setting, KILOBYTES) {
        tracing::debug!(%error, setting, "cannot raise read-ahead");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_mountpoints_are_told_apart() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(matches!(Mountpoint::at(&directory.path().join("nope")), Err(MountpointError::Unusable { .. })));
        assert!(matches!(Mountpoint::at(&file), Err(MountpointError::NotADirectory(_))));
        assert!(matches!(Mountpoint::at(directory.path()), Err(MountpointError::NotEmpty(_))));
        assert!(matches!(Mountpoint::at(Path::new("/proc")), Err(MountpointError::Mounted(_))));
    }

    #[test]
    fn a_temporary_mountpoint_goes_but_not_what_is_in_it() {
        let path = {
            let mountpoint = Mountpoint::temporary().unwrap();
            std::fs::write(mountpoint.path().join("precious"), "").unwrap();
            mountpoint.path().to_path_buf()
        };
        assert!(path.join("precious").exists());
        std::fs::remove_dir_all(path).unwrap();
    }
}
