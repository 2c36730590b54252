//! What is done to caches beside using them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::store::{Directory, DirectoryError, Usage, each_journal, owner, problem, usage};

/// What a cache has.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Status {
    /// The process that uses it.
    pub owner: Option<String>,
    /// Its volumes, by their backends.
    pub volumes: Vec<Usage>,
    /// Why nobody can use it; `None` if nothing is the matter.
    pub problem: Option<String>,
}

/// Why something cannot be done to a cache.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdminError {
    /// It cannot be taken.
    #[error(transparent)]
    Directory(DirectoryError),
    /// A process has it.
    #[error("{} is in use by process {pid}; unmount it, or stop that process, first", path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
        /// The process, as it has called itself.
        pid: String,
    },
    /// It cannot be read or changed.
    #[error("{}: {source}", path.display())]
    Io {
        /// Its directory.
        path: PathBuf,
        /// What the kernel says.
        source: io::Error,
    },
    /// The backend does not have everything.
    #[error(
        "{backend} does not have changes of {} that are in the cache; upload them with gofer-volumes cache \
         flush, or lose them with --lose-changes",
        self::files(*files)
    )]
    Dirty {
        /// The backend.
        backend: String,
        /// How many files.
        files: u64,
    },
    /// There are changes that could not be uploaded.
    #[error(
        "the cache has changes of {} of {backend} that are damaged, or whose files are gone; make them to what \
         is there now with gofer-volumes cache flush --by-path, or lose them with --lose-changes",
        self::files(*files)
    )]
    Lost {
        /// The backend.
        backend: String,
        /// How many files.
        files: u64,
    },
    /// There is nothing of this backend in it.
    #[error("there is nothing of {0:?} in the cache; gofer-volumes cache status shows what there is")]
    NoVolume(String),
    /// There is none.
    #[error("{} is not a cache", .0.display())]
    NotACache(PathBuf),
}

/// `count` files, in words.
pub fn files(count: u64) -> String {
    if count == 1 { "1 file".to_owned() } else { format!("{count} files") }
}

/// What the cache in the directory `path` has, which may be in use.
pub fn status(path: &Path) -> Result<Status, AdminError> {
    let problem = check(path)?.map(|problem| problem.to_string());
    let failed = |source| AdminError::Io { path: path.to_path_buf(), source };
    Ok(Status { owner: owner(path), volumes: usage(path).map_err(failed)?, problem })
}

/// All journals of the cache in the directory `path`, which go when they are uploaded.
pub fn journals(path: &Path) -> Result<Vec<PathBuf>, AdminError> {
    check(path)?;
    let failed = |source| AdminError::Io { path: path.to_path_buf(), source };
    let mut journals = Vec::new();
    for volume in usage(path).map_err(failed)? {
        each_journal(&volume.path, |journal| journals.push(journal)).map_err(failed)?;
    }
    Ok(journals)
}

/// Removes what is there of `backend`, or everything, from the cache in the directory `path`, which must not be in use.
/// Says how many bytes that were. What the backend does not have is removed only if `loses_changes`.
pub fn drop_all(path: &Path, backend: Option<&str>, loses_changes: bool) -> Result<u64, AdminError> {
    check(path)?;
    let _owned = Directory::take(path)?;
    let failed = |source| AdminError::Io { path: path.to_path_buf(), source };
    let all = usage(path).map_err(failed)?;
    let meant: Vec<&Usage> = all.iter().filter(|usage| backend.is_none_or(|name| usage.backend == name)).collect();
    if let (Some(backend), []) = (backend, &meant[..]) {
        return Err(AdminError::NoVolume(backend.to_owned()));
    }
    if let Some(usage) = meant.iter().find(|usage| usage.dirty_files > 0 && !loses_changes) {
        return Err(AdminError::Dirty { backend: usage.backend.clone(), files: usage.dirty_files });
    }
    if let Some(usage) = meant.iter().find(|usage| usage.lost_files > 0 && !loses_changes) {
        return Err(AdminError::Lost { backend: usage.backend.clone(), files: usage.lost_files });
    }
    for usage in &meant {
        fs::remove_dir_all(&usage.path).map_err(failed)?;
    }
    Ok(meant.iter().map(|usage| usage.bytes + usage.dirty_bytes + usage.lost_bytes).sum())
}

/// Why the cache in the directory `path` cannot be used, if it is one.
fn check(path: &Path) -> Result<Option<DirectoryError>, AdminError> {
    match problem(path) {
        Ok(Some(DirectoryError::Foreign { .. })) => Err(AdminError::NotACache(path.to_path_buf())),
        Ok(problem) => Ok(problem),
        Err(DirectoryError::Io { source, .. }) if source.kind() == io::ErrorKind::NotADirectory => {
            Err(AdminError::NotACache(path.to_path_buf()))
        }
        Err(error) => Err(error.into()),
    }
}

impl From<DirectoryError> for AdminError {
    fn from(error: DirectoryError) -> Self {
        match error {
            DirectoryError::InUse { path, pid } => AdminError::InUse { path, pid },
            DirectoryError::Io { path, source } => AdminError::Io { path, source },
            error => AdminError::Directory(error),
        }
    }
}
