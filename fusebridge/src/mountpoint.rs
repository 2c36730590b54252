//! The directory that a file system is mounted on.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

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
        if !mounted_on(&canonical).map_err(unusable)?.is_empty() {
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

/// A mount, as the kernel's table has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableEntry {
    /// The file system's device, as `major:minor`. No other file system has the same one while it lives.
    pub device: String,
    /// The file system's type.
    pub kind: String,
}

impl TableEntry {
    /// Whether it is a FUSE file system.
    pub fn is_fuse(&self) -> bool {
        self.kind == "fuse" || self.kind.starts_with("fuse.")
    }
}

/// What is mounted on `path`, a path without symbolic links; what can be seen is the last.
pub fn mounted_on(path: &Path) -> io::Result<Vec<TableEntry>> {
    let wanted = path.as_os_str().as_bytes();
    let table = std::fs::read("/proc/self/mountinfo")?;
    Ok(table.split(|byte| *byte == b'\n').filter_map(|line| entry_on(wanted, line)).collect())
}

/// The mount of a line of the mount table, if it is on `path`.
fn entry_on(path: &[u8], line: &[u8]) -> Option<TableEntry> {
    let text = |field: &[u8]| String::from_utf8_lossy(field).into_owned();
    let mut fields = line.split(|byte| *byte == b' ');
    let device = text(fields.nth(2)?);
    let is_on_path = unescape(fields.nth(1)?) == path;
    // Any number of optional fields stands before the dash.
    let kind = fields.skip_while(|field| *field != b"-").nth(1)?;
    is_on_path.then(|| TableEntry { device, kind: text(kind) })
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
    /// What is mounted there is none of ours.
    #[error("{path} is a mount of type {kind}, which is none of fusebridge's; unmount it with: umount {path}", path = .0.display(), kind = .1)]
    Foreign(PathBuf, String),
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

/// How long a look at a file system takes, such as `statfs`.
const GLANCE: Duration = Duration::from_millis(20);

/// Unmounts what is mounted on `path`, even if it is in use or its process is dead.
pub fn unmount(path: &Path) -> Result<Unmounted, UnmountError> {
    // The mountpoint itself may not answer any more, its directory does.
    let path = &match (path.parent().map(Path::canonicalize), path.file_name()) {
        (Some(Ok(parent)), Some(name)) => parent.join(name),
        (None, _) | (_, None) | (Some(Err(_)), _) => path.canonicalize().unwrap_or_else(|_| path.to_path_buf()),
    };
    let refused = |reason: String| UnmountError::Refused { reason, path: path.clone() };
    match mounted_on(path).map_err(|error| refused(error.to_string()))?.pop() {
        None => return Err(UnmountError::NotMounted(path.clone())),
        // Most of all those that a system cannot do without, and which root could take away even while they are in use.
        Some(entry) if !entry.is_fuse() => return Err(UnmountError::Foreign(path.clone(), entry.kind)),
        Some(_) => {}
    }
    let plainly = || umount2(path, MntFlags::UMOUNT_NOFOLLOW);
    // Somebody who only looks at it, as `df` does, is gone soon.
    let unmounted = plainly().or_else(|error| {
        if error == Errno::EBUSY {
            std::thread::sleep(GLANCE);
            plainly()
        } else {
            Err(error)
        }
    });
    match unmounted {
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
    for pause in [Duration::ZERO, GLANCE] {
        std::thread::sleep(pause);
        if helper(&["-u"]).map_err(missing)?.status.success() {
            return Ok(Unmounted::Gone);
        }
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
        assert!(matches!(unmount(Path::new("/proc")), Err(UnmountError::Foreign(_, kind)) if kind == "proc"));
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
    fn mounts_are_found_in_the_table() {
        let line = br"36 35 0:98 / /a\040b rw,noatime master:1 shared:2 - fuse.lisafs host:/srv rw,user_id=0";
        let found = entry_on(b"/a b", line).unwrap();
        assert_eq!(found, TableEntry { device: "0:98".into(), kind: "fuse.lisafs".into() });
        assert!(found.is_fuse());
        assert_eq!(entry_on(b"/a", line), None);
        assert_eq!(entry_on(b"/a", b""), None);
    }

    #[test]
    fn escapes_of_mount_tables_are_undone() {
        assert_eq!(unescape(br"/a\040b\134c\"), b"/a b\\c\\");
    }
}
