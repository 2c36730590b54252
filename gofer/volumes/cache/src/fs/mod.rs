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

mod back;
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
mod recent;

use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use gofer::extension::Claim;
use lisafs::backend::{Attachment, Backend, Errno, Found, Result};
use parking_lot::Mutex;
use quick_cache::sync::Cache;

use crate::stats::Snapshot;
use crate::store::{CacheFile, DirectoryError, Key, Limits, Store};
use back::{Back, RecoverError};
use control::Control;
use inode::{Inodes, Place};
use names::Names;
use node::Node;
use recent::recent;

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
    /// When writes are acknowledged.
    pub write: Write,
    /// Whether `fsync` is content when the disk of the cache has what was written back.
    pub fsync_locally: bool,
    /// Bytes that the cache may have and the backend not; `None` for half of what the cache may take.
    pub dirty: Option<u64>,
    /// Whether changes that were left, and those that were set aside, are made to whatever file is at their path now, also
    /// if the files are others than they were.
    pub recovers_by_path: bool,
}

/// When a write is acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Write {
    /// When the backend has it.
    #[default]
    Through,
    /// When the disk of the cache has it, if nobody else changes the files; the backend has it soon.
    Back,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            access: Access::default(),
            ttl: Duration::from_secs(1),
            names: None,
            donate: true,
            write: Write::default(),
            fsync_locally: false,
            dirty: None,
            recovers_by_path: false,
        }
    }
}

impl Options {
    /// The same for other `access`.
    #[must_use]
    pub fn access(self, access: Access) -> Self {
        Options { access, ..self }
    }

    /// The same where writes are acknowledged at another time.
    #[must_use]
    pub fn write(self, write: Write) -> Self {
        Options { write, ..self }
    }

    /// The same with another time for which names and attributes count.
    #[must_use]
    pub fn ttl(self, ttl: Duration) -> Self {
        Options { ttl, ..self }
    }
}

/// The files of another backend, with a cache before them.
pub struct CacheFs {
    volume: Arc<Volume>,
}

/// A volume, which is there as long as somebody uses it or it has changes to upload.
pub(crate) struct WeakVolume(Weak<Volume>);

/// Why there is no cache.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Its directory cannot be used.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// What a process has left cannot be uploaded.
    #[error("{0}; gofer-volumes cache status shows what there is")]
    Recover(String),
    /// The backend fails.
    #[error("the backend of the cache fails: {0}")]
    Backend(#[source] lisafs::backend::Error),
}

/// What all files of a volume need.
struct Volume {
    inner: Claim,
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
    /// What is written, and not uploaded yet; `None` if there is no such thing.
    back: Option<Arc<Back>>,
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
    /// Bytes on the disk that the backend does not have yet.
    pub dirty: u64,
    /// How long the oldest of them have been there.
    pub dirty_age: Duration,
}

impl Drop for Volume {
    fn drop(&mut self) {
        if let Some(back) = &self.back {
            back.end();
        }
    }
}

/// How long the end of a connection waits for uploads.
const LAST_UPLOADS: Duration = Duration::from_secs(4);

/// The volumes of this process.
static LIVE: Mutex<Vec<Weak<Volume>>> = Mutex::new(Vec::new());

/// Calls `with` with what each volume of this process has done.
pub fn each_volume(mut with: impl FnMut(&VolumeStats)) {
    let live: Vec<Arc<Volume>> = LIVE.lock().iter().filter_map(Weak::upgrade).collect();
    for volume in live {
        let store = &volume.store;
        let dirty = volume.back.as_ref().map(|back| back.dirty()).unwrap_or_default();
        with(&VolumeStats {
            backend: volume.name.clone(),
            directory: store.directory().path().to_path_buf(),
            counts: store.stats.snapshot(),
            bytes: store.bytes(),
            limit: store.limits().size,
            dirty: dirty.bytes,
            dirty_age: dirty.age,
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
    ) -> std::result::Result<Self, OpenError> {
        Self::new(inner, name, options, Store::open(directory, limits)?)
    }

    /// The files of `inner`, which is called `name`, with their data in `store`.
    pub(crate) fn new(
        inner: Claim,
        name: &str,
        options: Options,
        store: Arc<Store>,
    ) -> std::result::Result<Self, OpenError> {
        let id = volume_id(name);
        let path = store.directory().path().to_path_buf();
        let failed = |source| DirectoryError::Io { path, source };
        let is_read_only = inner.options.read_only;
        let writes_back = options.write == Write::Back && !is_read_only;
        let back = || {
            store.make_volume(id, name)?;
            let limit = options.dirty.unwrap_or(store.limits().size / 2).max(1);
            let is_needed = writes_back || store.directory().dirty(id).is_dir();
            is_needed.then(|| Back::start(&store, id, limit, &options)).transpose()
        };
        let back = back().map_err(failed)?;
        let (names, files) = budget(&options, inner.options.fds_are_descriptors);
        let keeps_names = !inner.options.tree_locks;
        let volume = Arc::new(Volume {
            inner,
            name: name.to_owned(),
            id,
            store,
            inodes: Arc::default(),
            names: Names::new(names),
            recent: recent(files),
            is_read_only,
            back: back.clone(),
            keeps_names,
            options,
        });
        if let Some(back) = &back {
            let root = volume.inner.backend.attach().map_err(OpenError::Backend)?.root;
            let (root, stat) = volume.root(root);
            let recover = |error: RecoverError| OpenError::Recover(error.to_string());
            volume.recover(back, &root, &stat).map_err(recover)?;
            if !writes_back && let Err(error) = back.flush_all(None) {
                // They are seen here all the same, and it is tried again.
                let bytes = back.dirty().bytes;
                tracing::error!(
                    "the backend takes none of the last {bytes} bytes of changes that it does not have: {error}"
                );
            }
        }
        let mut live = LIVE.lock();
        live.retain(|volume| volume.strong_count() > 0);
        live.push(Arc::downgrade(&volume));
        drop(live);
        Ok(CacheFs { volume })
    }

    pub(crate) fn options(&self) -> &Options {
        &self.volume.options
    }

    pub(crate) fn downgrade(&self) -> WeakVolume {
        WeakVolume(Arc::downgrade(&self.volume))
    }
}

impl WeakVolume {
    /// The files of the volume, if it is still there.
    pub(crate) fn upgrade(&self) -> Option<CacheFs> {
        self.0.upgrade().map(|volume| CacheFs { volume })
    }

    /// Whether it is.
    pub(crate) fn is_there(&self) -> bool {
        self.0.strong_count() > 0
    }
}

/// The number of the volume that is called `name`.
pub(crate) fn volume_id(name: &str) -> u64 {
    use std::hash::Hasher;
    let mut hasher = siphasher::sip::SipHasher13::new();
    hasher.write(name.as_bytes());
    hasher.finish()
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
        f.debug_struct("CacheFs").field("inner", &self.volume.inner).finish_non_exhaustive()
    }
}

impl Backend for CacheFs {
    fn options(&self) -> lisafs::backend::Options {
        // A descriptor of the root would lead past the cache.
        let options = self.volume.inner.options.clone().donates_root(false).fds_are_descriptors(true);
        let options = options.walk_stat(self.volume.keeps_names);
        if self.volume.back.is_none() {
            return options;
        }
        // Who closes a file hears of what went wrong.
        let supported = options.supported.with(lisafs::backend::MessageId::FLUSH);
        options.supported(supported)
    }

    fn attach(&self) -> Result<Attachment> {
        let (node, stat) = self.volume.root(self.volume.inner.backend.attach()?.root);
        Ok(Attachment::new(Found::new(Control::new(&self.volume, node), stat)))
    }

    fn detach(&self) {
        let end = Instant::now() + LAST_UPLOADS;
        self.volume.store.background.wait_for_closed(end);
        if let Some(back) = &self.volume.back
            && let Err(error) = back.flush_all(Some(end))
        {
            let (bytes, directory) = (back.dirty().bytes, self.volume.store.directory().path().display());
            tracing::warn!(
                "the backend lacks {bytes} bytes that are in {directory} ({error}); use gofer-volumes cache flush"
            );
        }
        self.volume.inner.backend.detach();
    }
}

impl Volume {
    fn is_exclusive(&self) -> bool {
        self.options.access == Access::Exclusive
    }

    /// The backend's root as that of the volume.
    fn root(&self, found: Found) -> (Arc<Node>, lisafs::backend::Statx) {
        let (node, stat) = self.node(found, None);
        node.inode.put(Place::Root);
        (node, stat)
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
