//! The volumes that are open.

use std::collections::HashMap;
use std::sync::Arc;

use gofer::extension::{Claim, Registry};
use gofer::hostfs::HostOptions;
use lisafs::backend::{Access, OpenHow};
use lisafs::server::Server;
use parking_lot::Mutex;

use crate::config::{Config, STAR};

/// A volume that somebody has opened.
pub(crate) struct Open {
    /// Its file system.
    pub(crate) claim: Claim,
    /// Serves its connections: no lock is shared with other volumes.
    pub(crate) server: Arc<Server>,
}

/// What tells one open volume from another: its name, and what serves it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) name: String,
    backend: String,
}

/// All of them. Opening one holds up nobody who wants another.
#[derive(Default)]
pub(crate) struct Volumes(Mutex<HashMap<Key, Arc<Slot>>>);

type Slot = Mutex<Option<Arc<Open>>>;

impl Key {
    /// The volume `name` with a configured `backend`, in which `star` has its place.
    pub(crate) fn new(name: &str, backend: &str, star: Option<&str>) -> Self {
        let backend = star.map_or_else(|| backend.to_owned(), |star| backend.replace(STAR, star));
        Key { name: name.to_owned(), backend }
    }
}

impl Volumes {
    /// Opens a volume, unless it is open already.
    pub(crate) fn open(&self, key: &Key, registry: &Registry) -> Result<Arc<Open>, String> {
        let slot = self.0.lock().entry(key.clone()).or_default().clone();
        let mut open = slot.lock();
        if let Some(open) = &*open {
            return Ok(open.clone());
        }
        let host = HostOptions::default();
        let claim = registry.backends(&host).open(key.backend.as_ref()).map_err(|error| error.to_string())?;
        tracing::info!("volume {:?} is {}", key.name, key.backend);
        Ok(open.insert(Arc::new(Open { claim, server: Server::with_late_threads() })).clone())
    }

    /// Closes the volumes that nobody uses and that will not be asked for in the same way: those that `config` no
    /// longer has, and those of patterns.
    pub(crate) fn tidy(&self, config: &Config) {
        let is_kept = |key: &Key| {
            config.find(&key.name).is_some_and(|(pattern, volume, star)| {
                !pattern.has_star() && *key == Key::new(&key.name, &volume.backend, star)
            })
        };
        let mut closed = Vec::new();
        self.0.lock().retain(|key, slot| {
            // Whoever has one of the two is about to use it.
            let is_used = Arc::strong_count(slot) > 1
                || slot.try_lock().is_none_or(|open| open.as_ref().is_some_and(|open| Arc::strong_count(open) > 1));
            let is_kept = is_used || is_kept(key);
            if !is_kept {
                closed.push((key.clone(), slot.clone()));
            }
            is_kept
        });
        for (key, slot) in closed {
            close(&key, &slot);
        }
    }

    /// Makes all of them durable and closes them.
    pub(crate) fn close(&self) {
        for (key, slot) in self.0.lock().drain() {
            close(&key, &slot);
        }
    }
}

fn close(key: &Key, slot: &Slot) {
    // Who is still opening one has changed nothing, and may never be done.
    let Some(open) = slot.try_lock().and_then(|mut open| open.take()) else { return };
    match sync(&open.claim) {
        Ok(()) => tracing::info!("volume {:?} is closed", key.name),
        Err(errno) => tracing::error!("volume {:?}: closed, but possibly not durable: {errno}", key.name),
    }
}

/// Makes what was written durable, as far as the root knows of it.
fn sync(claim: &Claim) -> lisafs::backend::Result<()> {
    let root = claim.backend.attach()?.root;
    root.file.open(OpenHow::new(Access::Read))?.file.sync()
}
