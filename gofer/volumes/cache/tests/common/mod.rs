//! What the tests of this crate share.
#![allow(dead_code, reason = "each test uses a part of it")]

pub(crate) mod killed;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use gofer::extension::{Claim, Registry};
use gofer::extensions::wrap::{Call, Layer, Wrapped};
use gofer::hostfs::{HostOptions, SpecialFiles};
use gofer_cache::{CacheFs, DirectoryError, Limits, OpenError, Options, Write};
use lisafs::backend::{Access, ControlBox, Errno, Found, Mode, NO_ID, Name, NewFile, OpenBox, OpenHow};
use tempfile::TempDir;

/// All extensions that a cache may be before.
pub(crate) fn registry() -> Registry {
    let mut extensions = gofer::extensions::shipped();
    extensions.push(Box::new(gofer_cache::CacheExtension::default()));
    Registry::new(extensions).unwrap()
}

/// Opens `backend`, with a registry, and so a process's state, of its own.
pub(crate) fn open(backend: &str) -> Claim {
    try_open(&registry(), backend).unwrap_or_else(|error| panic!("{backend}: {error}"))
}

pub(crate) fn try_open(registry: &Registry, backend: &str) -> Result<Claim, String> {
    // As servers have it: clients send modes ready made.
    rustix::process::umask(rustix::fs::Mode::empty());
    let host = HostOptions::default().special(SpecialFiles::Create);
    registry.backends(&host).open(backend.as_ref()).map_err(|error| error.to_string())
}

/// A cache in `directory` before `backend`.
pub(crate) fn cached(backend: &str, directory: &Path, options: &str) -> Claim {
    open(&format!("cache:{backend}?dir={}&free=0{options}", directory.display()))
}

pub(crate) fn root(claim: &Claim) -> ControlBox {
    claim.backend.attach().unwrap().root.file
}

pub(crate) fn name(name: &str) -> Name<'_> {
    Name::new(name.as_bytes()).unwrap()
}

pub(crate) fn walk(claim: &Claim, entry: &str) -> Found {
    root(claim).walk(name(entry)).unwrap()
}

pub(crate) fn open_file(claim: &Claim, entry: &str, access: Access) -> OpenBox {
    walk(claim, entry).file.open(OpenHow::new(access)).unwrap().file
}

pub(crate) fn create(claim: &Claim, entry: &str) -> OpenBox {
    let new = NewFile::new(Mode::new(0o644), NO_ID, NO_ID);
    root(claim).create(name(entry), &new, Access::ReadWrite).unwrap().opened.file
}

/// All bytes of a file from `offset` on, up to `len`, read as the server does it.
pub(crate) fn read(file: &OpenBox, offset: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0xa5; len];
    let mut done = 0;
    while done < len {
        let end = len.min(done + (128 << 10));
        match file.read_at((&mut bytes[done..end]).into(), offset + done as u64).unwrap() {
            0 => break,
            count => done += count,
        }
    }
    bytes.truncate(done);
    bytes
}

pub(crate) fn content(claim: &Claim, entry: &str) -> Vec<u8> {
    let file = open_file(claim, entry, Access::Read);
    let size = file.stat().unwrap().size;
    read(&file, 0, usize::try_from(size).unwrap() + 1)
}

pub(crate) fn write(file: &OpenBox, offset: u64, bytes: &[u8]) {
    assert_eq!(file.write_at(bytes.into(), offset).unwrap(), bytes.len());
}

/// Bytes that are different everywhere.
pub(crate) fn bytes(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    fastrand::Rng::with_seed(seed).fill(&mut bytes);
    bytes
}

/// What the volume of a cache has counted.
pub(crate) fn counts(directory: &Path) -> gofer_cache::Snapshot {
    of_volume(directory, |volume| volume.counts)
}

/// Bytes that the backend does not have.
pub(crate) fn dirty(directory: &Path) -> u64 {
    of_volume(directory, |volume| volume.dirty)
}

fn of_volume<T>(directory: &Path, get: impl Fn(&gofer_cache::VolumeStats) -> T) -> T {
    let mut found = None;
    let directory = directory.canonicalize().unwrap();
    gofer_cache::each_volume(|volume| {
        if volume.directory == directory {
            found = Some(get(volume));
        }
    });
    found.unwrap()
}

/// A backend that counts what it is asked, and can be made to wait.
#[derive(Default)]
pub(crate) struct Counting {
    calls: Mutex<HashMap<&'static str, u64>>,
    largest: AtomicU64,
    /// Reads, writes and what is `gated` wait as long as this is locked.
    pub(crate) gate: RwLock<()>,
    pub(crate) gated: Mutex<Option<Call>>,
    /// What writes fail with.
    pub(crate) full: Mutex<Option<Errno>>,
    /// What is refused, and how.
    pub(crate) refused: Mutex<Option<(Call, Errno)>>,
}

impl Counting {
    /// How often it was asked for `call` since the last time.
    pub(crate) fn take(&self, call: Call) -> u64 {
        self.calls.lock().unwrap().remove(call.name()).unwrap_or(0)
    }

    /// Whether it was asked for `call`.
    pub(crate) fn has_seen(&self, call: Call) -> bool {
        self.calls.lock().unwrap().contains_key(call.name())
    }

    /// How often it was asked for anything since the last time.
    pub(crate) fn take_all(&self) -> u64 {
        std::mem::take(&mut *self.calls.lock().unwrap()).into_values().sum()
    }

    /// Bytes of the largest read since the last time.
    pub(crate) fn take_largest(&self) -> u64 {
        self.largest.swap(0, Ordering::Relaxed)
    }
}

impl Layer for Counting {
    type Started = ();

    fn before(&self, call: Call) -> lisafs::backend::Result<()> {
        *self.calls.lock().unwrap().entry(call.name()).or_default() += 1;
        if matches!(call, Call::Read | Call::Write) || *self.gated.lock().unwrap() == Some(call) {
            drop(self.gate.read().unwrap());
        }
        let full = self.full.lock().unwrap().map(|errno| (Call::Write, errno));
        let refused = *self.refused.lock().unwrap();
        match full.into_iter().chain(refused).find(|(refused, _)| *refused == call) {
            Some((_, errno)) => Err(errno.into()),
            None => Ok(()),
        }
    }

    fn after(&self, call: Call, (): (), outcome: Result<u64, Errno>) {
        if let (Call::Read, Ok(bytes)) = (call, outcome) {
            self.largest.fetch_max(bytes, Ordering::Relaxed);
        }
    }
}

/// A host directory, a cache before it, and what the cache asks for.
pub(crate) struct Scene {
    pub(crate) files: TempDir,
    pub(crate) cache: TempDir,
    pub(crate) layer: Arc<Counting>,
    pub(crate) claim: Claim,
}

impl Scene {
    pub(crate) fn new(options: &Options) -> Self {
        Self::with(options, Limits::new(1 << 30, Some(0)), false)
    }

    pub(crate) fn with(options: &Options, limits: Limits, read_only: bool) -> Self {
        let (files, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (layer, claim) = before(files.path(), cache.path(), options, limits, read_only);
        Scene { files, cache, layer, claim }
    }

    /// The same after the process was started anew.
    pub(crate) fn again(self, options: &Options) -> Self {
        let Scene { files, cache, claim, .. } = self;
        drop(claim);
        let (layer, claim) = before(files.path(), cache.path(), options, Limits::new(1 << 30, Some(0)), false);
        Scene { files, cache, layer, claim }
    }

    /// Another process for the same files.
    pub(crate) fn beside(self, options: &Options) -> Self {
        let Scene { files, cache, claim, .. } = self;
        // It has ended, but for what it does not know.
        std::mem::forget(claim);
        let (layer, claim) = before(files.path(), cache.path(), options, Limits::new(1 << 30, Some(0)), false);
        Scene { files, cache, layer, claim }
    }

    /// Writes a file past the cache.
    pub(crate) fn put(&self, entry: &str, content: &[u8]) {
        std::fs::write(self.files.path().join(entry), content).unwrap();
    }

    /// Waits until the backend has everything.
    pub(crate) fn settle(&self) {
        let start = std::time::Instant::now();
        while dirty(self.cache.path()) > 0 {
            assert!(start.elapsed() < Duration::from_secs(30), "it is never uploaded");
            self.claim.backend.detach();
        }
    }

    pub(crate) fn counts(&self) -> gofer_cache::Snapshot {
        counts(self.cache.path())
    }
}

fn before(files: &Path, cache: &Path, options: &Options, limits: Limits, read_only: bool) -> (Arc<Counting>, Claim) {
    let inner = open(files.to_str().unwrap()).read_only(read_only);
    let wrapped = Wrapped::new(inner, Counting::default());
    let layer = wrapped.layer().clone();
    let inner = Claim::new(Arc::new(wrapped));
    (layer, Claim::new(Arc::new(open_before(&inner, cache, options, limits).unwrap())))
}

/// A cache in `cache` before `inner`, once nobody else uses the directory.
pub(crate) fn open_before(
    inner: &Claim,
    cache: &Path,
    options: &Options,
    limits: Limits,
) -> Result<CacheFs, OpenError> {
    let start = std::time::Instant::now();
    loop {
        match CacheFs::open(inner.clone(), "files", cache, limits, options.clone()) {
            // The last one may still be fetching ahead.
            Err(OpenError::Directory(DirectoryError::InUse { .. })) if start.elapsed() < Duration::from_secs(30) => {
                std::thread::yield_now();
            }
            cached => return cached,
        }
    }
}

pub(crate) fn exclusive() -> Options {
    Options::default().access(gofer_cache::Access::Exclusive)
}

/// Writes are acknowledged when the disk of the cache has them.
pub(crate) fn back() -> Options {
    exclusive().write(Write::Back)
}

/// Others may change everything at any time.
pub(crate) fn strict() -> Options {
    Options::default().ttl(Duration::ZERO)
}

/// All files with this ending in the directory of a cache.
pub(crate) fn stored(cache: &Path, ending: &str) -> Vec<PathBuf> {
    let (mut found, mut left) = (Vec::new(), vec![cache.join("volumes")]);
    while let Some(directory) = left.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                left.push(path);
            } else if path.extension().is_some_and(|it| it == ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Reads a file until it comes from the cache.
pub(crate) fn settle(scene: &Scene, entry: &str) {
    let start = std::time::Instant::now();
    loop {
        let before = scene.counts().misses;
        content(&scene.claim, entry);
        if scene.counts().misses == before {
            return;
        }
        assert!(start.elapsed() < Duration::from_secs(30), "{entry} is never kept");
    }
}
