//! Caches as an extension: `cache:BACKEND?dir=DIR&size=100g`.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::hash::Hash;
use std::path::PathBuf;
use std::sync::{Arc, Weak};

use gofer::extension::{Backends, Claim, Error, Extension, FileAccess, Result, chain};
use parking_lot::Mutex;

use crate::fs::{Access, CacheFs, WeakVolume, Write, volume_id};
use crate::location::Location;
use crate::remote::{Remote, RemoteSpec};
use crate::store::{Directory, Limits, Store, each_journal};

/// The directory would be one of the container, and end with it.
const NOT_IN_SANDBOXES: &str = "a cache is served by gofer-volumes, not by a container's gofer; use volume:NAME";

const NOTHING_TO_WRITE: &str = "write=back has no meaning before a backend that refuses all changes";

/// Brings caches: `cache:BACKEND?dir=DIR&size=100g`.
///
/// BACKEND is any other backend, or `exec:COMMAND` or `unix:SOCKET` for a server. Options stand behind the last `?`; a
/// BACKEND that has options of its own needs one more behind these.
#[derive(Default)]
pub struct CacheExtension {
    /// Directories that this process owns, which volumes share.
    stores: Slots<PathBuf, OpenStore>,
    /// Volumes that are open.
    volumes: Slots<VolumeKey, Volume>,
}

/// What is open, each behind a lock of its own: who opens one, which may take long, holds up nobody who wants another.
struct Slots<K, V>(Mutex<HashMap<K, Slot<V>>>);

type Slot<V> = Arc<Mutex<Option<V>>>;

struct OpenStore {
    store: Weak<Store>,
    limits: Limits,
}

/// What tells one open volume from another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct VolumeKey {
    directory: PathBuf,
    backend: String,
    /// Whether it may not be changed.
    read_only: bool,
}

struct Volume {
    open: Weak<CacheFs>,
    /// It outlives the last connection as long as it uploads.
    rest: WeakVolume,
}

impl std::fmt::Debug for CacheExtension {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CacheExtension").field("volumes", &self.volumes.0.lock().keys()).finish_non_exhaustive()
    }
}

impl Extension for CacheExtension {
    fn name(&self) -> &'static str {
        "cache"
    }

    fn check(&self, argument: &str, backends: &Backends<'_>) -> Result<()> {
        if backends.are_for_sandbox() {
            return Err(NOT_IN_SANDBOXES.into());
        }
        let location = Location::parse(argument)?;
        // A service has no working directory that anybody would think of.
        if !location.directory.is_absolute() {
            return Err(format!("dir={}: not an absolute path", location.directory.display()).into());
        }
        let is_read_only = chain(OsStr::new(&location.backend)).any(|(name, _)| name == "readonly");
        if is_read_only && location.options.write == Write::Back {
            return Err(NOTHING_TO_WRITE.into());
        }
        match RemoteSpec::parse(&location.backend) {
            Some(Ok(RemoteSpec::Unix(path))) if !path.is_absolute() => {
                Err(format!("unix:{}: not an absolute path", path.display()).into())
            }
            Some(spec) => spec.map(drop).map_err(Error::from),
            None => Ok(backends.check(OsStr::new(&location.backend))?),
        }
    }

    fn open(&self, argument: &str, backends: &Backends<'_>) -> Result<Claim> {
        if backends.are_for_sandbox() {
            return Err(NOT_IN_SANDBOXES.into());
        }
        let client = backends.access().map(|access| match access {
            FileAccess::Exclusive => Access::Exclusive,
            FileAccess::Shared => Access::Shared,
        });
        let (location, has_access) = Location::parse_for(argument, client)?;
        match client.filter(|client| has_access && *client != location.options.access) {
            Some(Access::Exclusive) => tracing::warn!(
                "the mount is exclusive, its cache access=shared: what others change may never be seen; mount with \
                 --access shared, or leave access= out if there are no others"
            ),
            Some(Access::Shared) => tracing::warn!(
                "the mount is shared, its cache access=exclusive: what others change may never be seen; leave access= \
                 out, or mount with --access exclusive if there are no others"
            ),
            None => {}
        }
        let store = self.store(&location)?;
        let read_only = backends.are_read_only();
        let key = |read_only| VolumeKey {
            directory: store.directory().path().to_path_buf(),
            backend: location.backend.clone(),
            read_only,
        };
        let with_same_options = |volume: Arc<CacheFs>| match *volume.options() == location.options {
            true => Ok(Claim::new(volume)),
            false => Err(Error::from(format!("{} is open with other options of its cache", location.backend))),
        };
        // Who only reads does not mind that others may do more.
        if read_only && let Some(volume) = self.volumes.slot(&key(false)).lock().as_mut().and_then(Volume::get) {
            return with_same_options(volume);
        }
        let slot = self.volumes.slot(&key(read_only));
        let mut slot = slot.lock();
        if let Some(volume) = slot.as_mut().and_then(Volume::get) {
            return with_same_options(volume);
        }
        let inner = match RemoteSpec::parse(&location.backend) {
            Some(spec) => Claim::new(Arc::new(Remote::start(&spec?)?)).read_only(read_only),
            None => backends.open(OsStr::new(&location.backend))?,
        };
        if inner.options.read_only && !read_only && location.options.write == Write::Back {
            return Err(NOTHING_TO_WRITE.into());
        }
        // What others may change by another way has data of its own.
        let name = if read_only { format!("readonly:{}", location.backend) } else { location.backend.clone() };
        if read_only && has_changes(&store, &location.backend)? {
            let (backend, directory) = (&location.backend, store.directory().path().display());
            tracing::warn!(
                "{backend} lacks changes that were written through this cache, and they are not seen read-only; upload \
                 them with gofer-volumes cache flush {directory}"
            );
        }
        let volume = Arc::new(CacheFs::new(inner, &name, location.options, store)?);
        *slot = Some(Volume { open: Arc::downgrade(&volume), rest: volume.downgrade() });
        Ok(Claim::new(volume))
    }
}

/// Whether `backend` does not have everything that was written to it through a cache.
fn has_changes(store: &Store, backend: &str) -> Result<bool> {
    let mut found = false;
    each_journal(&store.directory().volume(volume_id(backend)), |_| found = true)?;
    Ok(found)
}

impl CacheExtension {
    /// The directory of a cache.
    fn store(&self, location: &Location) -> std::result::Result<Arc<Store>, Error> {
        let path = Directory::make(&location.directory)?;
        let slot = self.stores.slot(&path);
        let mut slot = slot.lock();
        if let Some(OpenStore { store, limits }) = &*slot
            && let Some(store) = store.upgrade()
        {
            if *limits != location.limits {
                return Err(format!("{} is in use with another size= or free=", path.display()).into());
            }
            return Ok(store);
        }
        let store = Store::open(&path, location.limits)?;
        *slot = Some(OpenStore { store: Arc::downgrade(&store), limits: location.limits });
        Ok(store)
    }
}

impl<K: Clone + Eq + Hash, V: Open> Slots<K, V> {
    /// The place of what is, or is about to be, open.
    fn slot(&self, key: &K) -> Slot<V> {
        let mut slots = self.0.lock();
        // Whoever has a slot is about to use it.
        let is_used = |slot: &Slot<V>| Arc::strong_count(slot) > 1 || slot.lock().as_ref().is_some_and(V::is_open);
        slots.retain(|_, slot| is_used(slot));
        slots.entry(key.clone()).or_default().clone()
    }
}

impl<K, V> Default for Slots<K, V> {
    fn default() -> Self {
        Slots(Mutex::default())
    }
}

/// What may be closed by now.
trait Open {
    fn is_open(&self) -> bool;
}

impl Open for OpenStore {
    fn is_open(&self) -> bool {
        self.store.strong_count() > 0
    }
}

impl Open for Volume {
    fn is_open(&self) -> bool {
        self.open.strong_count() > 0 || self.rest.is_there()
    }
}

impl Volume {
    fn get(&mut self) -> Option<Arc<CacheFs>> {
        if let Some(open) = self.open.upgrade() {
            return Some(open);
        }
        let open = Arc::new(self.rest.upgrade()?);
        self.open = Arc::downgrade(&open);
        Some(open)
    }
}
