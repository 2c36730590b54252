//! Blob volumes as an extension: `blob:URL`.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use gofer::extension::{Backends, Claim, Extension, Result};
use parking_lot::Mutex;

use crate::{BlobFs, Location, Opened};

/// Brings volumes in object stores.
#[derive(Debug, Default)]
pub struct BlobExtension {
    /// Volumes that are open: a second one of this process would take the volume from the first.
    open: Mutex<HashMap<String, Weak<BlobFs>>>,
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
        let mut open = self.open.lock();
        let key = match &location.options.checkpoint {
            Some(checkpoint) => format!("{}?checkpoint={checkpoint}", location.url),
            None => format!("{}?ro={}", location.url, location.options.read_only),
        };
        // Each of these is one of its own.
        let is_shared = location.url.scheme() != "memory";
        if let Some(volume) = open.get(&key).and_then(Weak::upgrade).filter(|_| is_shared) {
            return Ok(Claim::new(volume));
        }
        let volume = Arc::new(BlobFs::new(Opened::open(&location)?));
        open.insert(key, Arc::downgrade(&volume));
        Ok(Claim::new(volume))
    }
}
