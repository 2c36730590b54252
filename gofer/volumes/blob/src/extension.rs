//! Blob volumes as an extension: `blob:URL`.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use gofer::extension::{Backends, Claim, Extension, Result};
use parking_lot::Mutex;

use crate::presence::Presence;
use crate::{BlobFs, Location, Opened, Store};

/// Brings volumes in object stores.
#[derive(Default)]
pub struct BlobExtension {
    /// Volumes that were opened, and how.
    places: Mutex<HashMap<Key, Arc<Place>>>,
}

/// Which volume, and of which moment.
#[derive(PartialEq, Eq, Hash)]
struct Key {
    place: String,
    is_read_only: bool,
    checkpoint: Option<String>,
}

/// A volume that is open or was: a second one of this process would take it from the first.
#[derive(Default)]
struct Place {
    /// Held while it is opened, which who wants another one does not wait for.
    fs: Mutex<Weak<BlobFs>>,
    presence: Arc<Presence>,
}

impl std::fmt::Debug for BlobExtension {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BlobExtension").finish_non_exhaustive()
    }
}

impl Extension for BlobExtension {
    fn name(&self) -> &'static str {
        "blob"
    }

    fn check(&self, argument: &str, _: &Backends<'_>) -> Result<()> {
        Ok(Location::parse(argument).map(drop)?)
    }

    fn open(&self, argument: &str, _: &Backends<'_>) -> Result<Claim> {
        let location = Location::parse(argument)?;
        let store = Store::new(&location)?;
        if location.url.scheme() == "memory" {
            // Each of these is one of its own.
            return Ok(Claim::new(Arc::new(BlobFs::new(Opened::open_in(store, &location)?))));
        }
        let options = &location.options;
        let key = Key { place: store.place(), is_read_only: options.read_only, checkpoint: options.checkpoint.clone() };
        let place = self.places.lock().entry(key).or_default().clone();
        let mut open = place.fs.lock();
        if let Some(fs) = open.upgrade() {
            return Ok(Claim::new(fs));
        }
        // The last commit of the one before takes its time.
        place.presence.wait(2 * options.timeout);
        let fs = Arc::new(BlobFs::new(Opened::open_in(store, &location)?.announced(&place.presence)));
        *open = Arc::downgrade(&fs);
        Ok(Claim::new(fs))
    }

    fn end(&self) {
        let places: Vec<_> = self.places.lock().values().cloned().collect();
        for place in places {
            place.presence.finish();
        }
    }
}
