//! Volumes that are opened again in the process that still has changes of them.

mod common;

use std::ffi::OsStr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use gofer::extension::{Backends, Claim, Extension, Registry, Result};
use gofer::extensions::wrap::{Call, Wrapped};
use lisafs::backend::{Access, Errno};

use common::{Counting, content, create, dirty, open_file, try_open, write};

/// Brings `full:DIR`, a directory to which nothing can be written at first.
#[derive(Default)]
struct Full {
    layers: Arc<Mutex<Vec<Arc<Counting>>>>,
}

impl Extension for Full {
    fn name(&self) -> &'static str {
        "full"
    }

    fn open(&self, argument: &str, backends: &Backends<'_>) -> Result<Claim> {
        let wrapped = Wrapped::new(backends.open(OsStr::new(argument))?, Counting::default());
        *wrapped.layer().full.lock().unwrap() = Some(Errno::NOSPC);
        self.layers.lock().unwrap().push(wrapped.layer().clone());
        Ok(Claim::new(Arc::new(wrapped)))
    }
}

#[test]
fn what_is_not_uploaded_is_uploaded_once() {
    let (files, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let full = Full::default();
    let layers = full.layers.clone();
    let extensions: Vec<Box<dyn Extension>> = vec![Box::new(full), Box::new(gofer_cache::CacheExtension::default())];
    let registry = Registry::new(extensions).unwrap();
    let open = |options: &str| {
        let (files, cache) = (files.path().display(), cache.path().display());
        try_open(&registry, &format!("cache:full:{files}?dir={cache}&free=0&access=exclusive{options}"))
    };
    let claim = open("&write=back").unwrap();
    write(&create(&claim, "file"), 0, b"old");
    drop(claim);
    let mut live = 0;
    gofer_cache::each_volume(|volume| live += usize::from(volume.dirty > 0));
    assert_eq!((live, dirty(cache.path()) > 0), (1, true));
    let error = open("").unwrap_err();
    assert!(error.ends_with(" is open with other options of its cache"), "{error}");
    let claim = open("&write=back").unwrap();
    assert_eq!(content(&claim, "file"), b"old");
    let layers = layers.lock().unwrap().clone();
    assert_eq!(layers.len(), 1, "there is one volume");
    layers[0].take(Call::Write);
    *layers[0].full.lock().unwrap() = None;
    let file = open_file(&claim, "file", Access::Write);
    write(&file, 0, b"new");
    file.sync().unwrap();
    let below: PathBuf = files.path().join("file");
    assert_eq!((std::fs::read(&below).unwrap(), dirty(cache.path())), (b"new".to_vec(), 0));
    // One for each layer.
    assert!(layers[0].take(Call::Write) <= 2);
}
