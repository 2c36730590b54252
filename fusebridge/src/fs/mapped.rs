//! Shared mappings of files whose reads and writes go past the kernel's cache.
//!
//! For a mapping the kernel caches pages all the same, and writes a dirty one back as a whole. It drops the cached
//! pages of a range before it sends a write, but another process may fault one in and store in it before the write
//! arrives here. Written back later, that page has old bytes where the write has put new ones. So, once the kernel has
//! read into its cache, each write first keeps what it is about to replace in pages that the kernel may have, and of a
//! page that comes back only those bytes are written that differ from what was kept.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{Mutex, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::identity::NodeId;
use super::replaced::Replaced;

/// One such file, which handles `H` are open on.
pub(super) struct Mapped<H> {
    /// Whether the kernel has read into its cache. Reads into the cache hold it shared, and so do writes until there
    /// was one; after that, writes hold it alone.
    gate: RwLock<bool>,
    /// Whether somebody has it open in a way that lets mappings change it.
    can_change: AtomicBool,
    pub(super) pages: Mutex<Pages<H>>,
}

/// What is known of the kernel's pages.
pub(super) struct Pages<H> {
    pub(super) replaced: Replaced,
    /// Where the kernel has read pages: a handle that can be read.
    pub(super) reader: Option<Arc<H>>,
}

/// Held while a file is written.
pub(super) enum Writing<'a> {
    /// The kernel has no pages of it.
    Unmapped(#[expect(dead_code, reason = "held")] RwLockReadGuard<'a, bool>),
    /// It may have some.
    Mapped(#[expect(dead_code, reason = "held")] RwLockWriteGuard<'a, bool>),
}

impl<H> Default for Mapped<H> {
    fn default() -> Self {
        let pages = Pages { replaced: Replaced::default(), reader: None };
        Mapped { gate: RwLock::default(), can_change: AtomicBool::default(), pages: Mutex::new(pages) }
    }
}

impl<H> Mapped<H> {
    /// The kernel reads `length` bytes at `offset` into its cache as long as the returned guard lives.
    pub(super) fn reading(&self, reader: &Arc<H>, offset: u64, length: usize) -> Option<RwLockReadGuard<'_, bool>> {
        if !self.can_change.load(Ordering::Acquire) {
            // Pages that are there when it is opened for that, the kernel drops before it maps them.
            return None;
        }
        let mut gate = self.gate.read();
        while !*gate {
            drop(gate);
            *self.gate.write() = true;
            gate = self.gate.read();
        }
        let mut pages = self.pages.lock();
        pages.replaced.read(offset, length);
        pages.reader = Some(reader.clone());
        Some(gate)
    }

    /// The parts from `offset` to `end` that the kernel may have in its cache; `None` if that may be any.
    pub(super) fn cached(&self, offset: u64, end: u64) -> Option<Vec<Range<u64>>> {
        if !*self.gate.read() {
            return Some(Vec::new());
        }
        let pages = self.pages.lock();
        (!pages.replaced.has_forgotten()).then(|| pages.replaced.known(offset, end.saturating_sub(offset)))
    }

    pub(super) fn writing(&self) -> Writing<'_> {
        let gate = self.gate.read();
        if !*gate {
            return Writing::Unmapped(gate);
        }
        drop(gate);
        Writing::Mapped(self.gate.write())
    }
}

/// The files that are open past the cache, with how often they are.
pub(super) struct MappedFiles<H>(Mutex<HashMap<NodeId, Opened<H>>>);

/// A file, and how often it is open.
type Opened<H> = (Arc<Mapped<H>>, usize);

impl<H> Default for MappedFiles<H> {
    fn default() -> Self {
        MappedFiles(Mutex::default())
    }
}

impl<H> MappedFiles<H> {
    /// Counts one more handle on `id`.
    pub(super) fn open(&self, id: NodeId, can_change: bool) -> Arc<Mapped<H>> {
        let mut files = self.0.lock();
        let (mapped, handles) = files.entry(id).or_default();
        *handles += 1;
        if can_change {
            mapped.can_change.store(true, Ordering::Release);
        }
        mapped.clone()
    }

    /// Counts one handle less.
    pub(super) fn close(&self, id: NodeId) {
        let mut files = self.0.lock();
        if let Some((_, handles)) = files.get_mut(&id) {
            *handles -= 1;
            if *handles == 0
                && let Some((mapped, _)) = files.remove(&id)
            {
                drop(files);
                // A handle that is kept there keeps the file in turn.
                let reader = mapped.pages.lock().reader.take();
                drop(reader);
            }
        }
    }
}
