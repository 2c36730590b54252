//! The directory of a cache: who owns it, and where files are in it.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock, statvfs};
use rustix::io::Errno;

use super::header::Key;

/// Tells a cache from any other directory, and says in which layout it is.
const FORMAT: &str = "gofer cache 1\n";
const FORMAT_FILE: &str = "format";
const LOCK: &str = "lock";
/// Where the data of all volumes is.
const VOLUMES: &str = "volumes";
/// Says which backend the directory beside it is for.
const BACKEND: &str = "backend";

/// Where changes are that a backend does not have yet.
pub(super) const DIRTY: &str = "dirty";

/// Ends the names of files with data.
pub(super) const DATA: &str = "data";
/// Ends the names of files that say which data is there.
pub(super) const MAP: &str = "map";

/// Why a directory cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DirectoryError {
    /// It cannot be made, read or written.
    #[error("cannot use {}: {source}", path.display())]
    Io {
        /// The directory, or what is in it.
        path: PathBuf,
        /// What the kernel says.
        source: io::Error,
    },
    /// Another process has it.
    #[error("{} is in use by process {pid}; give each process a cache directory of its own", path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
        /// The process, as it has called itself.
        pid: String,
    },
    /// There is something else in it.
    #[error("{} is not empty and not a cache of this version; use another directory, or empty it", path.display())]
    Foreign {
        /// The directory.
        path: PathBuf,
    },
}

/// A directory that this process owns until this is dropped.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    _lock: File,
}

impl Directory {
    /// Makes the directory if need be, and says where it is.
    pub(crate) fn make(path: &Path) -> Result<PathBuf, DirectoryError> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(path).and_then(|()| path.canonicalize());
        made.map_err(|source| DirectoryError::Io { path: path.to_path_buf(), source })
    }

    /// Makes the directory if need be, and takes it.
    pub(crate) fn take(path: &Path) -> Result<Self, DirectoryError> {
        let failed = |at: &Path| {
            let path = at.to_path_buf();
            move |source| DirectoryError::Io { path, source }
        };
        let path = Self::make(path)?;
        let format = path.join(FORMAT_FILE);
        let is_new = match fs::read(&format) {
            Ok(found) if found == FORMAT.as_bytes() => false,
            Ok(_) => return Err(DirectoryError::Foreign { path }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => true,
            Err(error) => return Err(failed(&format)(error)),
        };
        if is_new {
            let mut entries = fs::read_dir(&path).map_err(failed(&path))?;
            // The file system's own, and what is left of a start that was interrupted.
            let is_harmless = |name: &std::ffi::OsStr| name == "lost+found" || name == LOCK;
            if entries.any(|entry| entry.is_ok_and(|entry| !is_harmless(&entry.file_name()))) {
                return Err(DirectoryError::Foreign { path });
            }
        }
        let lock = Self::lock(&path)?;
        let volumes = path.join(VOLUMES);
        if is_new {
            fs::write(&format, FORMAT).map_err(failed(&format))?;
        }
        DirBuilder::new().recursive(true).mode(0o700).create(&volumes).map_err(failed(&volumes))?;
        Ok(Directory { path, _lock: lock })
    }

    fn lock(path: &Path) -> Result<File, DirectoryError> {
        let file = path.join(LOCK);
        let failed = |source| DirectoryError::Io { path: file.clone(), source };
        let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&file);
        let mut lock = open.map_err(failed)?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                let pid = owner_in(&mut lock).unwrap_or_else(|| "unknown".to_owned());
                return Err(DirectoryError::InUse { path: path.to_path_buf(), pid });
            }
            Err(errno) => return Err(failed(errno.into())),
        }
        let written = lock.set_len(0).and_then(|()| writeln!(lock, "{}", std::process::id()));
        written.map_err(failed)?;
        Ok(lock)
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// All volumes that there is data of.
    pub(super) fn volumes(&self) -> io::Result<Vec<u64>> {
        let mut volumes = Vec::new();
        for entry in fs::read_dir(self.path.join(VOLUMES))? {
            let name = entry?.file_name();
            if let Some(volume) = name.to_str().filter(|name| name.len() == 16).and_then(hex) {
                volumes.push(volume);
            }
        }
        Ok(volumes)
    }

    pub(crate) fn volume(&self, volume: u64) -> PathBuf {
        self.path.join(VOLUMES).join(format!("{volume:016x}"))
    }

    /// Where changes are of the volume that its backend does not have.
    pub(crate) fn dirty(&self, volume: u64) -> PathBuf {
        self.volume(volume).join(DIRTY)
    }

    /// Makes the directory of the volume that `backend` stands for.
    pub(crate) fn make_volume(&self, volume: u64, backend: &str) -> io::Result<()> {
        let path = self.volume(volume);
        DirBuilder::new().recursive(true).mode(0o700).create(&path)?;
        fs::write(path.join(BACKEND), format!("{backend}\n"))
    }

    /// Where the data of `key` is, without the ending.
    pub(super) fn file(&self, key: Key, ending: &str) -> PathBuf {
        let name = format!("{:x}-{:x}-{:x}.{ending}", key.device.0, key.device.1, key.ino);
        self.volume(key.volume).join(shard(key.ino)).join(name)
    }

    /// Bytes that may still be written, `None` if that cannot be told.
    pub(super) fn available(&self) -> Option<(u64, u64)> {
        let stat = statvfs(&self.path).ok()?;
        // Where there is no limit, both are 0.
        let inodes = if stat.f_files == 0 { u64::MAX } else { stat.f_favail };
        Some((stat.f_bavail.saturating_mul(stat.f_frsize), inodes))
    }

    /// Bytes of the whole file system.
    pub(super) fn capacity(&self) -> u64 {
        statvfs(&self.path).map_or(0, |stat| stat.f_blocks.saturating_mul(stat.f_frsize))
    }
}

/// Which process has locked the directory at `path`; `None` if none has.
pub(crate) fn owner(path: &Path) -> Option<String> {
    let mut lock = OpenOptions::new().read(true).open(path.join(LOCK)).ok()?;
    match flock(&lock, FlockOperation::NonBlockingLockShared) {
        Err(Errno::WOULDBLOCK) => Some(owner_in(&mut lock).unwrap_or_else(|| "unknown".to_owned())),
        _ => None,
    }
}

fn owner_in(lock: &mut File) -> Option<String> {
    let mut text = String::new();
    lock.take(32).read_to_string(&mut text).ok()?;
    let pid = text.trim();
    (!pid.is_empty() && pid.bytes().all(|byte| byte.is_ascii_digit())).then(|| pid.to_owned())
}

/// Files of a volume are spread over so many directories.
fn shard(ino: u64) -> String {
    format!("{:02x}", ino & 0xff)
}

/// The file whose map has the name `name` in a directory of `volume`.
pub(super) fn key_of(volume: u64, name: &str) -> Option<(Key, &str)> {
    let (name, ending) = name.rsplit_once('.')?;
    let mut numbers = name.split('-');
    let mut next = || numbers.next().and_then(hex);
    let (major, minor, ino) = (next()?, next()?, next()?);
    let device = (u32::try_from(major).ok()?, u32::try_from(minor).ok()?);
    numbers.next().is_none().then_some((Key { volume, device, ino }, ending))
}

fn hex(text: &str) -> Option<u64> {
    u64::from_str_radix(text, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_has_one_owner() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a/b");
        let taken = Directory::take(&path).unwrap();
        let error = Directory::take(&path).unwrap_err().to_string();
        let pid = std::process::id();
        assert!(
            error.ends_with(&format!("b is in use by process {pid}; give each process a cache directory of its own"))
        );
        assert_eq!(owner(&path), Some(pid.to_string()));
        drop(taken);
        assert_eq!(owner(&path), None);
        drop(Directory::take(&path).unwrap());
    }

    #[test]
    fn other_directories_are_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("letter"), "dear").unwrap();
        let error = Directory::take(directory.path()).unwrap_err().to_string();
        assert!(error.ends_with("is not empty and not a cache of this version; use another directory, or empty it"));
        fs::remove_file(directory.path().join("letter")).unwrap();
        drop(Directory::take(directory.path()).unwrap());
        fs::write(directory.path().join(FORMAT_FILE), "gofer cache 2\n").unwrap();
        assert!(matches!(Directory::take(directory.path()), Err(DirectoryError::Foreign { .. })));
    }

    #[test]
    fn names_of_files_are_understood() {
        let directory = tempfile::tempdir().unwrap();
        let taken = Directory::take(directory.path()).unwrap();
        let key = Key { volume: 7, device: (254, 1), ino: u64::MAX };
        let path = taken.file(key, MAP);
        assert_eq!(key_of(7, path.file_name().unwrap().to_str().unwrap()), Some((key, MAP)));
        for other in ["map", "1-2.map", "1-2-3", "1-2-3-4.map", "1-2-x.map"] {
            assert!(key_of(7, other).is_none(), "{other}");
        }
    }
}
