//! The directory that a file system is mounted on.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::mount::{MntFlags, umount2};

/// Why something cannot be mounted on.
#[derive(Debug, thiserror::Error)]
pub enum MountpointError {
    /// It cannot be looked at.
    #[error("cannot use {} as mountpoint: {source}", path.display())]
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
    #[error("{path} is mounted already; unmount it first: fusebridge umount {path}", path = .0.display())]
    Mounted(PathBuf),
    /// A mount whose process is gone is left on it.
    #[error("{path} is left of a mount whose process has died; unmount it first: fusebridge umount {path}", path = .0.display())]
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
}

impl Mountpoint {
    /// Checks that `path` can be mounted on.
    pub fn at(path: &Path) -> Result<Self, MountpointError> {
        let unusable = |source| MountpointError::Unusable { source, path: path.to_path_buf() };
        let canonical = match path.canonicalize() {
            Ok(canonical) => canonical,
            Err(error) if error.raw_os_error() == Some(libc::ENOTCONN) => {
                return Err(MountpointError::Dead(path.to_path_buf()));
            }
            Err(error) => return Err(unusable(error)),
        };
        let metadata = canonical.symlink_metadata().map_err(unusable)?;
        if !metadata.is_dir() {
            return Err(MountpointError::NotADirectory(path.to_path_buf()));
        }
        if is_mounted(&canonical).map_err(unusable)? {
            return Err(MountpointError::Mounted(canonical));
        }
        if canonical.read_dir().map_err(unusable)?.next().is_some() {
            return Err(MountpointError::NotEmpty(path.to_path_buf()));
        }
        Ok(Mountpoint { path: canonical, temporary: false })
    }

    /// A new directory among the temporary files.
    pub fn temporary() -> Result<Self, MountpointError> {
        let directory = tempfile::Builder::new().prefix("fusebridge-").tempdir().map_err(MountpointError::Temporary)?;
        // Kept: removing it with all that is in it would, if something went wrong, remove the user's files.
        let path = directory.keep();
        Ok(Mountpoint { path: path.canonicalize().unwrap_or(path), temporary: true })
    }

    /// Where it is, without symbolic links.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Mountpoint {
    fn drop(&mut self) {
        if self.temporary
            && let Err(error) = std::fs::remove_dir(&self.path)
        {
            tracing::warn!(%error, path = %self.path.display(), "cannot remove the temporary mountpoint");
        }
    }
}

/// Whether something is mounted on `path`, a path without symbolic links.
pub fn is_mounted(path: &Path) -> io::Result<bool> {
    use std::os::unix::ffi::OsStrExt;
    let mounts = std::fs::read("/proc/self/mountinfo")?;
    let wanted = path.as_os_str().as_bytes();
    Ok(mounts.split(|byte| *byte == b'\n').any(|line| {
        let target = line.split(|byte| *byte == b' ').nth(4);
        target.is_some_and(|target| unescape(target) == wanted)
    }))
}

/// Undoes the octal escapes of the kernel's mount tables.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, tail)) = rest.split_first() {
        let code = tail.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        match code.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) if *first == b'\\' => {
                bytes.push(byte);
                rest = &tail[3..];
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    bytes
}

/// Why something stays mounted.
#[derive(Debug, thiserror::Error)]
pub enum UnmountError {
    /// Nothing is mounted there.
    #[error("{} is not a mountpoint", .0.display())]
    NotMounted(PathBuf),
    /// The kernel, or the helper for ordinary users, refused.
    #[error("cannot unmount {}: {reason}", path.display())]
    Refused {
        /// Why.
        reason: String,
        /// The mountpoint.
        path: PathBuf,
    },
}

/// How an unmount went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unmounted {
    /// It is gone.
    Gone,
    /// Nobody can get in any more; it goes when those who are in it leave.
    Detached,
    /// Nobody can get in any more, but requests from before have not ended.
    Unfinished,
}

/// Unmounts what is mounted on `path`, even if it is in use or its process is dead.
pub fn unmount(path: &Path) -> Result<Unmounted, UnmountError> {
    // The mountpoint itself may not answer any more, its directory does.
    let path = &match (path.parent().map(Path::canonicalize), path.file_name()) {
        (Some(Ok(parent)), Some(name)) => parent.join(name),
        (None, _) | (_, None) | (Some(Err(_)), _) => path.canonicalize().unwrap_or_else(|_| path.to_path_buf()),
    };
    let refused = |reason: String| UnmountError::Refused { reason, path: path.clone() };
    if !is_mounted(path).map_err(|error| refused(error.to_string()))? {
        return Err(UnmountError::NotMounted(path.clone()));
    }
    match umount2(path, MntFlags::UMOUNT_NOFOLLOW) {
        Ok(()) => return Ok(Unmounted::Gone),
        Err(Errno::EBUSY) => {
            umount2(path, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW)
                .map_err(|error| refused(error.desc().into()))?;
            return Ok(Unmounted::Detached);
        }
        Err(Errno::EPERM) => {}
        Err(Errno::EINVAL) => return Err(UnmountError::NotMounted(path.clone())),
        Err(error) => return Err(refused(error.desc().into())),
    }
    // Ordinary users may unmount their own file systems with the set-user-id helper.
    let helper =
        |options: &[&str]| std::process::Command::new("fusermount3").args(options).arg("--").arg(path).output();
    let missing = |error: io::Error| refused(format!("fusermount3: {error}; install the package fuse3"));
    if helper(&["-u"]).map_err(missing)?.status.success() {
        return Ok(Unmounted::Gone);
    }
    let output = helper(&["-u", "-z"]).map_err(missing)?;
    if output.status.success() {
        return Ok(Unmounted::Detached);
    }
    Err(refused(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
}

/// Lets the kernel read ahead further than it offers by default, for which one must be root.
pub fn raise_read_ahead(path: &Path) {
    const KILOBYTES: &str = "1024";
    let Ok(metadata) = std::fs::metadata(path) else { return };
    let (major, minor) = (nix::sys::stat::major(metadata.dev()), nix::sys::stat::minor(metadata.dev()));
    let setting = format!("/sys/class/bdi/{major}:{minor}/read_ahead_kb");
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
        assert!(matches!(unmount(directory.path()), Err(UnmountError::NotMounted(_))));
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

    #[test]
    fn escapes_of_mount_tables_are_undone() {
        assert_eq!(unescape(br"/a\040b\134c\"), b"/a b\\c\\");
    }
}
