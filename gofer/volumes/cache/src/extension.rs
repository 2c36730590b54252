//! Caches as an extension: `cache:BACKEND?dir=DIR&size=100g`.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use gofer::extension::{Backends, Claim, Error, Extension, Result};
use parking_lot::Mutex;

use crate::fs::{CacheFs, WeakVolume, volume_id};
use crate::location::Location;
use crate::remote::{Remote, RemoteSpec};
use crate::store::{Limits, Store, each_journal};

/// The directory would be one of the container, and end with it.
const NOT_IN_SANDBOXES: &str = "a cache is served by gofer-volumes, not by a container's gofer; use volume:NAME";

/// Brings caches: `cache:BACKEND?dir=DIR&size=100g`.
///
/// BACKEND is any other backend, or `exec:COMMAND` or `unix:SOCKET` for a server. Options stand behind the last `?`; a
/// BACKEND that has options of its own needs one more behind these.
#[derive(Debug, Default)]
pub struct CacheExtension {
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    /// Directories that this process owns, which volumes share.
    stores: HashMap<PathBuf, (Weak<Store>, Limits)>,
    /// Volumes that are open, by directory and backend, and whether they may not be changed.
    volumes: HashMap<(PathBuf, String, bool), Volume>,
}

struct Volume {
    open: Weak<CacheFs>,
    /// It outlives the last connection as long as it uploads.
    rest: WeakVolume,
}

impl std::fmt::Debug for Open {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Open").field("volumes", &self.volumes.keys()).finish_non_exhaustive()
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
        match RemoteSpec::parse(&location.backend) {
            Some(spec) => spec.map(drop).map_err(Error::from),
            None => Ok(backends.check(OsStr::new(&location.backend))?),
        }
    }

    fn open(&self, argument: &str, backends: &Backends<'_>) -> Result<Claim> {
        if backends.are_for_sandbox() {
            return Err(NOT_IN_SANDBOXES.into());
        }
        let location = Location::parse(argument)?;
        let mut open = self.open.lock();
        let store = open.store(&location)?;
        let directory = store.directory().path().to_path_buf();
        let key = |read_only| (directory.clone(), location.backend.clone(), read_only);
        let read_only = backends.are_read_only();
        // Who only reads does not mind that others may do more.
        for opened in [false, true].into_iter().filter(|opened| read_only || !opened) {
            if let Some(volume) = open.volume(&key(opened)) {
                if *volume.options() != location.options {
                    return Err(format!("{} is open with other options of its cache", location.backend).into());
                }
                return Ok(Claim::new(volume));
            }
        }
        let inner = match RemoteSpec::parse(&location.backend) {
            Some(spec) => Claim::new(Arc::new(Remote::start(&spec?)?)).read_only(read_only),
            None => backends.open(OsStr::new(&location.backend))?,
        };
        // What others may change by another way has data of its own.
        let name = if read_only { format!("readonly:{}", location.backend) } else { location.backend.clone() };
        if read_only && has_changes(&store, &location.backend)? {
            let (backend, directory) = (&location.backend, directory.display());
            tracing::warn!(
                "{backend} lacks changes that were written through this cache, and they are not seen read-only; upload \
                 them with gofer-volumes cache flush {directory}"
            );
        }
        let volume = Arc::new(CacheFs::new(inner, &name, location.options, store)?);
        let (opened, rest) = (Arc::downgrade(&volume), volume.downgrade());
        open.volumes.insert(key(read_only), Volume { open: opened, rest });
        Ok(Claim::new(volume))
    }
}

/// Whether `backend` does not have everything that was written to it through a cache.
fn has_changes(store: &Store, backend: &str) -> Result<bool> {
    let mut found = false;
    each_journal(&store.directory().volume(volume_id(backend)), |_| found = true)?;
    Ok(found)
}

impl Open {
    /// The directory of a cache.
    fn store(&mut self, location: &Location) -> std::result::Result<Arc<Store>, Error> {
        let path = &location.directory;
        let canonical = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
        if let Some((store, limits)) = self.stores.get(&canonical(path))
            && let Some(store) = store.upgrade()
        {
            if *limits != location.limits {
                return Err(format!("{} is in use with another size= or free=", path.display()).into());
            }
            return Ok(store);
        }
        let store = Store::open(path, location.limits)?;
        self.stores.insert(store.directory().path().to_path_buf(), (Arc::downgrade(&store), location.limits));
        Ok(store)
    }

    fn volume(&mut self, key: &(PathBuf, String, bool)) -> Option<Arc<CacheFs>> {
        let volume = self.volumes.get_mut(key)?;
        if let Some(open) = volume.open.upgrade() {
            return Some(open);
        }
        let open = Arc::new(volume.rest.upgrade()?);
        volume.open = Arc::downgrade(&open);
        Some(open)
    }
}
