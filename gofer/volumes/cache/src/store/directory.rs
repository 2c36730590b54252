//! The directory of a cache: who owns it, and where files are in it.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock, fstatvfs};
use rustix::io::Errno;

use super::header::Key;

/// Tells a cache from any other directory, and says in which layout it is.
const FORMAT: &str = "gofer cache 1\n";
const FORMAT_FILE: &str = "format";
/// What it is called until it is whole.
const NEW_FORMAT: &str = "format.new";
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

/// Whatever the umask, which servers do not have: directories are for their owner only.
const PRIVATE: u32 = 0o700;

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
    #[error("{} is not empty and not a cache; use another directory, or empty it", path.display())]
    Foreign {
        /// The directory.
        path: PathBuf,
    },
    /// It is a cache that this program does not understand.
    #[error("{} is a cache of another version ({version:?}); use it with the program that made it, or another directory", path.display())]
    Version {
        /// The directory.
        path: PathBuf,
        /// What it says.
        version: String,
    },
    /// It seems to be a cache, but does not say so.
    #[error(
        "{} does not say {:?}, so this is no cache or a damaged one; do not empty it, it may have changes that backends \
         do not have: if it is a cache, write that into the file",
        path.join(FORMAT_FILE).display(),
        FORMAT.trim_end()
    )]
    Damaged {
        /// The directory.
        path: PathBuf,
    },
}

/// A directory that this process owns until this is dropped.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    /// The same by a descriptor: also when something else is mounted there, or it has another name.
    fixed: PathBuf,
    root: File,
    _lock: File,
}

/// What a directory says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    /// It is a cache.
    Whole,
    /// It is about to become one, or was being made one.
    Unfinished,
}

impl Directory {
    /// Makes the directory if need be, and says where it is.
    pub(crate) fn make(path: &Path) -> Result<PathBuf, DirectoryError> {
        let made = DirBuilder::new().recursive(true).mode(PRIVATE).create(path);
        let made = made.and_then(|()| path.canonicalize()).map_err(|error| match fs::metadata(path) {
            _ if error.kind() != io::ErrorKind::AlreadyExists => error,
            Ok(_) => io::ErrorKind::NotADirectory.into(),
            Err(_) => io::Error::other("a symbolic link that leads nowhere"),
        });
        made.map_err(failed(path))
    }

    /// Makes the directory if need be, and takes it.
    pub(crate) fn take(path: &Path) -> Result<Self, DirectoryError> {
        let path = Self::make(path)?;
        let format = inspect(&path)?;
        let lock = Self::lock(&path)?;
        let root = File::open(&path).map_err(failed(&path))?;
        let mode = root.metadata().map_err(failed(&path))?.permissions().mode();
        if mode & !PRIVATE & 0o777 != 0 {
            root.set_permissions(Permissions::from_mode(mode & 0o7000 | PRIVATE)).map_err(failed(&path))?;
        }
        if format == Format::Unfinished {
            write_format(&path).map_err(failed(&path.join(FORMAT_FILE)))?;
        }
        let volumes = path.join(VOLUMES);
        DirBuilder::new().recursive(true).mode(PRIVATE).create(&volumes).map_err(failed(&volumes))?;
        let fixed = PathBuf::from(format!("/proc/self/fd/{}", root.as_raw_fd()));
        Ok(Directory { path, fixed, root, _lock: lock })
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

    /// What people call `path`, which is in it.
    pub(crate) fn shown(&self, path: &Path) -> PathBuf {
        path.strip_prefix(&self.fixed).map_or_else(|_| path.to_path_buf(), |below| self.path.join(below))
    }

    /// Whether it was removed.
    pub(super) fn is_gone(&self) -> bool {
        self.root.metadata().is_ok_and(|stat| stat.nlink() == 0)
    }

    /// All volumes that there is data of.
    pub(super) fn volumes(&self) -> io::Result<Vec<u64>> {
        let mut volumes = Vec::new();
        each_volume(&self.fixed, |volume, _| volumes.push(volume))?;
        Ok(volumes)
    }

    pub(crate) fn volume(&self, volume: u64) -> PathBuf {
        self.fixed.join(VOLUMES).join(format!("{volume:016x}"))
    }

    /// Where changes are of the volume that its backend does not have.
    pub(crate) fn dirty(&self, volume: u64) -> PathBuf {
        self.volume(volume).join(DIRTY)
    }

    /// Makes the directory of the volume that `backend` stands for. `false` if it is there.
    pub(super) fn make_volume(&self, volume: u64, backend: &str) -> io::Result<bool> {
        let (file, text) = (self.volume(volume).join(BACKEND), format!("{backend}\n"));
        let is_new = make_parent(&file)?;
        // Whoever is to upload changes must know where to.
        if fs::read(&file).ok().is_none_or(|found| found != text.as_bytes()) {
            write_private(&file, text.as_bytes())?.sync_all()?;
        }
        Ok(is_new)
    }

    /// Where the data of `key` is, without the ending.
    pub(super) fn file(&self, key: Key, ending: &str) -> PathBuf {
        let name = format!("{:x}-{:x}-{:x}.{ending}", key.device.0, key.device.1, key.ino);
        self.volume(key.volume).join(shard(key.ino)).join(name)
    }

    /// Bytes that may still be written, and files that may still be made.
    pub(super) fn available(&self) -> io::Result<(u64, u64)> {
        let stat = fstatvfs(&self.root)?;
        // Where there is no limit, both are 0.
        let inodes = if stat.f_files == 0 { u64::MAX } else { stat.f_favail };
        Ok((stat.f_bavail.saturating_mul(stat.f_frsize), inodes))
    }

    /// Bytes of the whole file system.
    pub(super) fn capacity(&self) -> u64 {
        fstatvfs(&self.root).map_or(0, |stat| stat.f_blocks.saturating_mul(stat.f_frsize))
    }
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> DirectoryError {
    let path = path.to_path_buf();
    move |source| DirectoryError::Io { path, source }
}

/// What the directory at `path` says of itself.
fn inspect(path: &Path) -> Result<Format, DirectoryError> {
    let file = path.join(FORMAT_FILE);
    let found = match fs::read(&file) {
        Ok(found) if found == FORMAT.as_bytes() => return Ok(Format::Whole),
        Ok(found) => Some(found),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(failed(&file)(error)),
    };
    let path = path.to_path_buf();
    if let Some(version) = found.as_deref().and_then(version) {
        return Err(DirectoryError::Version { path, version });
    }
    // What a start leaves that was interrupted, and a power cut.
    let is_cut =
        found.as_ref().is_some_and(|found| FORMAT.as_bytes().starts_with(found) || found.iter().all(|byte| *byte == 0));
    let is_ours = |name: &OsStr| {
        let always = [LOCK, NEW_FORMAT, "lost+found"];
        always.iter().any(|ours| name == *ours) || is_cut && [FORMAT_FILE, VOLUMES].iter().any(|ours| name == *ours)
    };
    let mut entries = fs::read_dir(&path).map_err(failed(&path))?;
    if entries.all(|entry| entry.is_ok_and(|entry| is_ours(&entry.file_name()))) {
        return Ok(Format::Unfinished);
    }
    Err(if path.join(VOLUMES).is_dir() { DirectoryError::Damaged { path } } else { DirectoryError::Foreign { path } })
}

/// Another layout than ours, which a whole file says.
fn version(format: &[u8]) -> Option<String> {
    let text = str::from_utf8(format).ok()?;
    let number = text.strip_prefix("gofer cache ")?.strip_suffix('\n')?;
    (!number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.trim_end().to_owned())
}

/// Whole or not at all, whenever the process or the machine ends.
fn write_format(path: &Path) -> io::Result<()> {
    let new = path.join(NEW_FORMAT);
    write_private(&new, FORMAT.as_bytes())?.sync_all()?;
    fs::rename(new, path.join(FORMAT_FILE))
}

/// Writes a file that nobody else may read, and leaves it open.
pub(crate) fn write_private(path: &Path, content: &[u8]) -> io::Result<File> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(content)?;
    Ok(file)
}

/// Why the directory at `path`, which is said to be a cache, is none that can be used; `None` if there is nothing.
pub(crate) fn problem(path: &Path) -> Result<Option<DirectoryError>, DirectoryError> {
    // Not to be taken for one that has nothing in it.
    let exists = |name: &str| path.join(name).try_exists().map_err(failed(path));
    if !exists(FORMAT_FILE)? && !exists(VOLUMES)? {
        return Ok(Some(DirectoryError::Foreign { path: path.to_path_buf() }));
    }
    match inspect(path) {
        Ok(_) => Ok(None),
        Err(error @ DirectoryError::Io { .. }) => Err(error),
        Err(error) => Ok(Some(error)),
    }
}

/// Calls `with` with each volume of the cache at `path`, and where it is.
pub(super) fn each_volume(path: &Path, mut with: impl FnMut(u64, PathBuf)) -> io::Result<()> {
    let entries = match fs::read_dir(path.join(VOLUMES)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let Some(volume) = name.to_str().filter(|name| name.len() == 16).and_then(hex) else { continue };
        if entry.file_type()?.is_dir() {
            with(volume, entry.path());
        }
    }
    Ok(())
}

/// Makes the directory that a file is in. `false` if it is there.
pub(super) fn make_parent(file: &Path) -> io::Result<bool> {
    match DirBuilder::new().mode(PRIVATE).create(file.parent().unwrap_or(file)) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        made => made.map(|()| true),
    }
}

/// Removes the directory that a file was in, if that was the last one. `false` if it stays.
pub(super) fn remove_parent(file: &Path) -> bool {
    fs::remove_dir(file.parent().unwrap_or(file)).is_ok()
}

/// Whether a directory of a volume with this name has data.
pub(super) fn is_shard(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| name.len() == 2 && hex(name).is_some())
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
        assert!(error.ends_with("is not empty and not a cache; use another directory, or empty it"));
        fs::remove_file(directory.path().join("letter")).unwrap();
        drop(Directory::take(directory.path()).unwrap());
        fs::write(directory.path().join(FORMAT_FILE), "gofer cache 2\n").unwrap();
        assert!(matches!(Directory::take(directory.path()), Err(DirectoryError::Version { .. })));
    }

    #[test]
    fn nobody_is_told_to_empty_a_damaged_cache() {
        let directory = tempfile::tempdir().unwrap();
        let (path, format) = (directory.path(), directory.path().join(FORMAT_FILE));
        drop(Directory::take(path).unwrap());
        let is_damaged = || {
            let error = Directory::take(path).unwrap_err();
            assert!(error.to_string().contains("/format does not say \"gofer cache 1\", so "), "{error}");
            matches!(error, DirectoryError::Damaged { .. })
        };
        for damaged in ["x\n", "gofer cache 1\nx", "gofer cachf 1\n"] {
            fs::write(&format, damaged).unwrap();
            assert!(is_damaged(), "{damaged:?}");
        }
        fs::remove_file(&format).unwrap();
        assert!(is_damaged());
        // What a power cut leaves.
        for cut in ["", "gofer ca", "gofer cache 1", "\0\0\0"] {
            fs::write(&format, cut).unwrap();
            drop(Directory::take(path).unwrap());
            assert_eq!(fs::read_to_string(&format).unwrap(), FORMAT);
        }
    }

    #[test]
    fn what_is_no_directory_is_told_in_one_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        fs::write(path("file"), "").unwrap();
        std::os::unix::fs::symlink("nowhere", path("link")).unwrap();
        let error = |name: &str| Directory::make(&path(name)).unwrap_err().to_string();
        assert!(error("file").ends_with("/file: not a directory"), "{}", error("file"));
        assert!(error("link").ends_with("/link: a symbolic link that leads nowhere"), "{}", error("link"));
    }

    #[test]
    fn names_of_files_are_understood() {
        let directory = tempfile::tempdir().unwrap();
        let taken = Directory::take(directory.path()).unwrap();
        let key = Key { volume: 7, device: (254, 1), ino: u64::MAX };
        let path = taken.file(key, MAP);
        assert!(taken.shown(&path).starts_with(directory.path().canonicalize().unwrap()));
        assert_eq!(key_of(7, path.file_name().unwrap().to_str().unwrap()), Some((key, MAP)));
        for other in ["map", "1-2.map", "1-2-3", "1-2-3-4.map", "1-2-x.map"] {
            assert!(key_of(7, other).is_none(), "{other}");
        }
    }
}
