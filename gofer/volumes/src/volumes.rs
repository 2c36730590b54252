//! The volumes that are open.

use std::collections::HashMap;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

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

/// All of them. Opening or closing one holds up nobody who wants another.
#[derive(Default)]
pub(crate) struct Volumes {
    slots: Arc<Mutex<HashMap<Key, Arc<Slot>>>>,
    /// What closes some that nobody uses.
    closing: Mutex<Vec<JoinHandle<()>>>,
}

/// Held while a volume is opened or closed.
type Slot = Mutex<Option<Arc<Open>>>;

/// As much as the main thread has, for threads that open and close volumes: the clients of stores are deep. What is not
/// used takes no memory.
pub(crate) const DEEP_STACK: usize = 8 << 20;

/// How often to look whether a volume that somebody else opens or closes is still wanted.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

impl Key {
    /// The volume `name` with a configured `backend`, in which `star` has its place.
    pub(crate) fn new(name: &str, backend: &str, star: Option<&str>) -> Self {
        let backend = star.map_or_else(|| backend.to_owned(), |star| backend.replace(STAR, star));
        Key { name: name.to_owned(), backend }
    }
}

impl Volumes {
    /// Opens a volume, unless it is open already. Gives up waiting for others who open or close it once it is not
    /// `wanted` any more.
    pub(crate) fn open(&self, key: &Key, registry: &Registry, wanted: impl Fn() -> bool) -> Result<Arc<Open>, String> {
        let slot = self.slots.lock().entry(key.clone()).or_default().clone();
        let mut open = loop {
            match slot.try_lock_for(LOOK_AGAIN) {
                Some(open) => break open,
                None if wanted() => {}
                None => return Err(format!("volume {:?} was not open in time", key.name)),
            }
        };
        if let Some(open) = &*open {
            return Ok(open.clone());
        }
        let host = HostOptions::default();
        let claim = registry.backends(&host).open(key.backend.as_ref()).map_err(|error| error.to_string())?;
        tracing::info!("volume {:?} is {}", key.name, key.backend);
        Ok(open.insert(Arc::new(Open { claim, server: Server::with_late_threads() })).clone())
    }

    /// Begins to close the volumes that nobody uses and that will not be asked for in the same way: those that `config`
    /// no longer has, and those of patterns.
    pub(crate) fn tidy(&self, config: &Config) {
        let is_kept = |key: &Key| {
            config.find(&key.name).is_some_and(|(pattern, volume, star)| {
                !pattern.has_star() && *key == Key::new(&key.name, &volume.backend, star)
            })
        };
        // Whoever has a slot is about to use or to close it.
        let is_unused = |slot: &Arc<Slot>| {
            Arc::strong_count(slot) == 1 && slot.try_lock().is_some_and(|open| open.as_ref().is_none_or(is_last))
        };
        let unused: Vec<_> = {
            let slots = self.slots.lock();
            let unused = slots.iter().filter(|(key, slot)| !is_kept(key) && is_unused(slot));
            unused.map(|(key, slot)| (key.clone(), slot.clone())).collect()
        };
        let mut closing = self.closing.lock();
        closing.retain(|thread| !thread.is_finished());
        for (key, slot) in unused {
            let slots = self.slots.clone();
            let close = move || {
                close(&key, &slot, is_last);
                let mut slots = slots.lock();
                // Whoever else has the slot opens the volume again.
                if Arc::strong_count(&slot) == 2 && slot.try_lock().is_some_and(|open| open.is_none()) {
                    slots.remove(&key);
                }
            };
            match Builder::new().name("close".to_owned()).stack_size(DEEP_STACK).spawn(close) {
                Ok(thread) => closing.push(thread),
                Err(error) => tracing::warn!(%error, "cannot close a volume yet"),
            }
        }
    }

    /// Makes all of them durable and closes them, at once: one that takes its time does not keep the others from it.
    pub(crate) fn close(&self) {
        let all: Vec<_> = self.slots.lock().drain().collect();
        std::thread::scope(|scope| {
            for (key, slot) in &all {
                let close = move || close(key, slot, |_| true);
                let thread = Builder::new().name("close".to_owned()).stack_size(DEEP_STACK);
                if thread.spawn_scoped(scope, close).is_err() {
                    close();
                }
            }
        });
        for thread in self.closing.lock().drain(..) {
            // A panic there has been reported already.
            let _ = thread.join();
        }
    }
}

/// Whether no connection uses `open`.
fn is_last(open: &Arc<Open>) -> bool {
    Arc::strong_count(open) == 1
}

/// Closes a volume if it is open and `may` be closed.
fn close(key: &Key, slot: &Slot, may: impl Fn(&Arc<Open>) -> bool) {
    // Who is still opening one has changed nothing, and may never be done.
    let Some(mut slot) = slot.try_lock() else { return };
    let Some(open) = slot.take_if(|open| may(open)) else { return };
    match sync(&open.claim) {
        Ok(()) => tracing::info!("volume {:?} is closed", key.name),
        Err(errno) => tracing::error!("volume {:?}: closed, but possibly not durable: {errno}", key.name),
    }
    // Only then may it be opened again.
    drop(open);
}

/// Makes what was written durable, as far as the root knows of it.
fn sync(claim: &Claim) -> lisafs::backend::Result<()> {
    let root = claim.backend.attach()?.root;
    root.file.open(OpenHow::new(Access::Read))?.file.sync()
}
