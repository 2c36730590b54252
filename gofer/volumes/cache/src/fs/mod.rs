//! The files of a backend, as they are seen through a cache.
//!
//! What is known of a file is with its [`Inode`], one for each identity however many names and connections lead to it;
//! what is known of names is in one table, under the number of the directory's inode. A [`Node`] is a position of the
//! backend that leads to an inode.
//!
//! # What is known and what changes it
//!
//! Whoever asks the backend keeps the answer only if nothing of what it is about was changed meanwhile ([`Meta`] counts
//! changes), and whoever changes something forgets what was known of it, before and after. So in exclusive mode, in
//! which nobody else changes the files, what is known is right.
//!
//! # Locks
//!
//! In this order: the gate of a [`CacheFile`](crate::store::CacheFile), [`Inode::meta`], the table of names, the table
//! of inodes. None is held while the backend is asked, but the gate.

mod control;
mod dir;
mod file;
mod inode;
mod listing;
mod meta;
mod names;
mod node;
mod pattern;
mod reader;

use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::Duration;

use gofer::extension::Claim;
use lisafs::backend::{Attachment, Backend, Errno, Found, Result};
use parking_lot::Mutex;
use quick_cache::sync::Cache;

use crate::stats::Snapshot;
use crate::store::{CacheFile, DirectoryError, Key, Limits, Store};
use control::Control;
use inode::Inodes;
use names::Names;
use node::Node;

/// Who else changes the files. The names are those of runsc.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Access {
    /// Nobody does as long as they are open here.
    Exclusive,
    /// Others do.
    #[default]
    Shared,
}

/// How a [`CacheFs`] behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// Who else changes the files.
    pub access: Access,
    /// How long names and attributes count, if others may change them.
    pub ttl: Duration,
    /// How many names are kept in memory; `None` for what the limit of descriptors allows.
    pub names: Option<usize>,
    /// Whether files that are wholly in the cache are given to clients as descriptors, where nothing may be changed.
    pub donate: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options { access: Access::default(), ttl: Duration::from_secs(1), names: None, donate: true }
    }
}

impl Options {
    /// The same for other `access`.
    #[must_use]
    pub fn access(self, access: Access) -> Self {
        Options { access, ..self }
    }

    /// The same with another time for which names and attributes count.
    #[must_use]
    pub fn ttl(self, ttl: Duration) -> Self {
        Options { ttl, ..self }
    }
}

/// The files of another backend, with a cache before them.
pub struct CacheFs {
    inner: Claim,
    volume: Arc<Volume>,
}

/// What all files of a volume need.
struct Volume {
    name: String,
    id: u64,
    options: Options,
    store: Arc<Store>,
    inodes: Arc<Inodes>,
    names: Names,
    /// Files that were used last, so that they stay open.
    recent: Cache<Key, Arc<CacheFile>>,
    /// Whether nothing may be changed, so that descriptors of data can be given away.
    is_read_only: bool,
    /// Whether names may be kept: not where the server has locks for positions.
    keeps_names: bool,
}

/// What a cached volume has done.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct VolumeStats {
    /// The backend, as it was called.
    pub backend: String,
    /// The cache's directory, which other volumes may share.
    pub directory: std::path::PathBuf,
    /// What was counted, of all volumes of the directory.
    pub counts: Snapshot,
    /// Bytes on the disk, of all volumes of the directory.
    pub bytes: u64,
    /// Bytes that there may be.
    pub limit: u64,
}

/// The volumes of this process.
static LIVE: Mutex<Vec<Weak<Volume>>> = Mutex::new(Vec::new());

/// Calls `with` with what each volume of this process has done.
pub fn each_volume(mut with: impl FnMut(&VolumeStats)) {
    let live: Vec<Arc<Volume>> = LIVE.lock().iter().filter_map(Weak::upgrade).collect();
    for volume in live {
        let store = &volume.store;
        with(&VolumeStats {
            backend: volume.name.clone(),
            directory: store.directory().path().to_path_buf(),
            counts: store.stats.snapshot(),
            bytes: store.bytes(),
            limit: store.limits().size,
        });
    }
}

impl CacheFs {
    /// The files of `inner` with a cache in `directory`, in which they are called `name`: under one name, one file
    /// system, however often it is opened. No other cache may be open in the directory; `cache:` lets volumes share one.
    pub fn open(
        inner: Claim,
        name: &str,
        directory: &Path,
        limits: Limits,
        options: Options,
    ) -> std::result::Result<Self, DirectoryError> {
        let store = Store::open(directory, limits)?;
        let failed = |source| DirectoryError::Io { path: directory.to_path_buf(), source };
        Self::new(inner, name, options, store).map_err(failed)
    }

    /// The files of `inner`, which is called `name`, with their data in `store`.
    pub(crate) fn new(inner: Claim, name: &str, options: Options, store: Arc<Store>) -> std::io::Result<Self> {
        use std::hash::Hasher;
        let mut hasher = siphasher::sip::SipHasher13::new();
        hasher.write(name.as_bytes());
        let id = hasher.finish();
        store.directory().make_volume(id, name)?;
        let (names, files) = budget(&options, inner.options.fds_are_descriptors);
        let volume = Arc::new(Volume {
            name: name.to_owned(),
            id,
            store,
            inodes: Arc::default(),
            names: Names::new(names),
            recent: Cache::new(files),
            is_read_only: inner.options.read_only,
            keeps_names: !inner.options.tree_locks,
            options,
        });
        let mut live = LIVE.lock();
        live.retain(|volume| volume.strong_count() > 0);
        live.push(Arc::downgrade(&volume));
        drop(live);
        Ok(CacheFs { inner, volume })
    }
}

/// How many names and how many files of data are kept open.
fn budget(options: &Options, names_are_descriptors: bool) -> (usize, usize) {
    const MOST_NAMES: usize = 1 << 17;
    const MOST_FILES: usize = 1 << 10;
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
    let names = if names_are_descriptors { (limit / 4).min(MOST_NAMES) } else { MOST_NAMES };
    // Each is two descriptors.
    (options.names.unwrap_or(names).max(16), (limit / 16).clamp(8, MOST_FILES))
}

impl std::fmt::Debug for CacheFs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CacheFs").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl Backend for CacheFs {
    fn options(&self) -> lisafs::backend::Options {
        // A descriptor of the root would lead past the cache.
        let options = self.inner.options.clone().donates_root(false).fds_are_descriptors(true);
        options.walk_stat(self.volume.keeps_names)
    }

    fn attach(&self) -> Result<Attachment> {
        let root = self.inner.backend.attach()?.root;
        Ok(Attachment::new(self.volume.found(root, None)))
    }

    fn detach(&self) {
        self.inner.backend.detach();
    }
}

impl Volume {
    fn is_exclusive(&self) -> bool {
        self.options.access == Access::Exclusive
    }

    /// A file of the backend as one of the volume.
    fn found(self: &Arc<Self>, found: Found, place: Option<(Arc<Node>, &[u8])>) -> Found {
        let (node, stat) = self.node(found, place);
        Found::new(Control { volume: self.clone(), node }, stat)
    }

    /// The data of the file `key`.
    fn file(&self, key: Key) -> Arc<CacheFile> {
        if let Some(file) = self.recent.get(&key) {
            return file;
        }
        let file = self.store.file(key);
        self.recent.insert(key, file.clone());
        file
    }

    /// Does `ask` once more, with fewer names in memory, if it fails because there are too many files.
    fn with_room<T>(&self, ask: impl Fn() -> Result<T>) -> Result<T> {
        match ask() {
            Err(error) if matches!(error.errno(), Errno::MFILE | Errno::NFILE) && !self.names.is_empty() => {
                self.names.clear();
                self.recent.clear();
                ask()
            }
            answer => answer,
        }
    }
}
