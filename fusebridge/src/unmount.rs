//! Taking a mount away, and no other.
//!
//! Between a look at what is mounted on a path and `umount2` of that path, it may be unmounted and something else
//! mounted there. So the mount is held, looked at, and unmounted by what holds it. That can only be done lazily, since
//! it is in use by ourselves; whether it is by others shows when it is let go of.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::mount::{MntFlags, umount2};

use crate::mounts::{Pin, TableEntry, is_elsewhere, table};

/// Why something stays mounted.
#[derive(Debug, thiserror::Error)]
pub enum UnmountError {
    /// Nothing is mounted there.
    #[error("{} is not a mountpoint", .0.display())]
    NotMounted(PathBuf),
    /// What is mounted there is none of ours.
    #[error("{path} is a mount of type {kind}, not one of fusebridge's; unmount it with: umount {path}", path = .0.display(), kind = .1)]
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

/// How long somebody who only looks at a file system, as `df` does, may be in it without being in the way. On a busy
/// machine the kernel itself takes a while to let go of one.
const RETRY_TIMEOUT: Duration = Duration::from_millis(200);

/// How often to look whether it is gone.
const RETRY_INTERVAL: Duration = Duration::from_millis(2);

/// Unmounts the FUSE file system that is mounted on `path`, even if it is in use or its process is dead.
pub fn unmount(path: &Path) -> Result<Unmounted, UnmountError> {
    unmount_if(path, TableEntry::is_fuse)
}

/// Whether what is mounted on `path` has lost its process. Of all that can be asked only this is never cached.
pub fn is_dead(path: &Path) -> bool {
    rustix::fs::statfs(path).is_err_and(|error| error == rustix::io::Errno::NOTCONN)
}

/// What to do about `error`, which somebody got at `path`, if the reason is a mount whose process is dead.
pub fn advice(path: &Path, error: &io::Error) -> String {
    if error.raw_os_error() != Some(Errno::ENOTCONN as i32) {
        return String::new();
    }
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let within = |entry: &TableEntry| path.starts_with(OsStr::from_bytes(&entry.path)) && entry.is_fuse();
    let mounts = table().unwrap_or_default().into_iter().filter(within);
    let dead = mounts.max_by_key(|entry| entry.path.len()).map(|entry| PathBuf::from(OsString::from_vec(entry.path)));
    format!(": the mount has lost its process; unmount it: fusebridge umount {}", dead.unwrap_or(path).display())
}

/// Unmounts the mount of ours on `path`, whose process is dead. What is of another program stays.
pub fn unmount_dead(path: &Path) -> Result<Unmounted, UnmountError> {
    // A mount that came meanwhile may be one of ours, but it answers.
    unmount_if(path, |entry| entry.is_own() && is_dead(path))
}

/// The mountpoint `path` as mount tables have it. It may not answer any more itself, its directory does.
pub fn place(path: &Path) -> PathBuf {
    match (path.parent().map(Path::canonicalize), path.file_name()) {
        (Some(Ok(parent)), Some(name)) => parent.join(name),
        (None, _) | (_, None) | (Some(Err(_)), _) => path.canonicalize().unwrap_or_else(|_| path.to_path_buf()),
    }
}

/// Unmounts the file system that is mounted on `path` if it `may` be.
fn unmount_if(path: &Path, may: impl Fn(&TableEntry) -> bool) -> Result<Unmounted, UnmountError> {
    let path = &place(path);
    let refused = |error: io::Error| UnmountError::Refused { reason: error.to_string(), path: path.clone() };
    let pin = Pin::at(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => UnmountError::NotMounted(path.clone()),
        _ => refused(error),
    })?;
    let entry = pin.entry().map_err(refused)?;
    let Some(entry) = entry.filter(|entry| entry.path == path.as_os_str().as_encoded_bytes()) else {
        return Err(UnmountError::NotMounted(path.clone()));
    };
    // Most of all those that a system cannot do without, and which root could take away even while they are in use.
    if !may(&entry) {
        return Err(UnmountError::Foreign(path.clone(), entry.kind));
    }
    // What the kernel has of a file system has a number of its own there, which no other gets soon.
    let state = PathBuf::from(format!("/sys/class/bdi/{}", entry.device));
    let number = || std::fs::metadata(&state).map(|metadata| metadata.ino()).ok();
    let before = number();
    detach(pin, path, &entry.device, || before.is_some() && number() == before)
}

/// Unmounts what `pin` holds, the root of a mount on `path` of the file system `device`, which `is_alive` as long as
/// somebody is in it.
pub fn detach(pin: Pin, path: &Path, device: &str, is_alive: impl Fn() -> bool) -> Result<Unmounted, UnmountError> {
    let refused = |reason: String| UnmountError::Refused { reason, path: path.to_path_buf() };
    match umount2(&pin.path(), MntFlags::MNT_DETACH) {
        Ok(()) => {}
        // Ordinary users may unmount their own file systems with the set-user-id helper, which knows paths only. As
        // long as the mount is held, only a lazy unmount could make room for another one.
        Err(Errno::EPERM) => {
            let output = Command::new("fusermount3").args(["-u", "-z", "--"]).arg(path).output();
            let output = output.map_err(|error| refused(format!("fusermount3: {error}; install the package fuse3")))?;
            if !output.status.success() {
                return Err(refused(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
            }
        }
        // Somebody else has detached it meanwhile.
        Err(Errno::EINVAL) => return Err(UnmountError::NotMounted(path.to_path_buf())),
        Err(error) => return Err(refused(error.desc().into())),
    }
    drop(pin);
    crate::statistics::remove_stale(device);
    let deadline = Instant::now() + RETRY_TIMEOUT;
    while is_alive() {
        if Instant::now() >= deadline {
            return Ok(if is_elsewhere(device) { Unmounted::Gone } else { Unmounted::Detached });
        }
        std::thread::sleep(RETRY_INTERVAL);
    }
    Ok(Unmounted::Gone)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_mount_of_ours_stays() {
        let directory = tempfile::tempdir().unwrap();
        assert!(matches!(unmount(directory.path()), Err(UnmountError::NotMounted(_))));
        assert!(matches!(unmount(&directory.path().join("nope")), Err(UnmountError::NotMounted(_))));
        assert!(matches!(unmount(Path::new("/proc/self")), Err(UnmountError::NotMounted(_))));
        assert!(matches!(unmount(Path::new("/proc")), Err(UnmountError::Foreign(_, kind)) if kind == "proc"));
    }
}
