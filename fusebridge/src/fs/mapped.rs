//! Shared maps of files whose reads and writes go past the kernel's cache.
//!
//! For a map the kernel caches pages all the same, and writes a dirty one back as a whole. It drops the cached pages of a range
//! before it sends a write, but another process may fault one in and store in it before the write arrives here. Written back
//! later, that page has old bytes where the write has put new ones. So, once the kernel has read into its cache, each write first
//! keeps what it is about to replace in pages that the kernel may have, and of a page that comes back only those bytes are
//! written that differ from what was kept.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{Mutex, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::bridge::{Bridge, Result};
use super::handles::Handle;
use super::identity::NodeId;
use super::replaced::Replaced;

/// One such file.
#[derive(Default)]
pub(super) struct Mapped {
    /// Whether the kernel has read into its cache. Reads into the cache hold it shared, and so do writes until there was one;
    /// after that, writes hold it alone.
    gate: RwLock<bool>,
    /// Whether somebody has it open in a way that lets maps change it.
    can_change: AtomicBool,
    pages: Mutex<Pages>,
}

#[derive(Default)]
struct Pages {
    replaced: Replaced,
    /// Where the kernel has read pages: a handle that can be read.
    reader: Option<Arc<Handle>>,
}

/// Held while a file is written.
pub(super) enum Writing<'a> {
    /// The kernel has no pages of it.
    Unmapped(#[expect(dead_code, reason = "held")] RwLockReadGuard<'a, bool>),
    /// It may have some.
    Mapped(#[expect(dead_code, reason = "held")] RwLockWriteGuard<'a, bool>),
}

impl Mapped {
    /// The kernel reads `length` bytes at `offset` into its cache as long as the answer lives.
    pub(super) fn reading(
        &self,
        reader: &Arc<Handle>,
        offset: u64,
        length: usize,
    ) -> Option<RwLockReadGuard<'_, bool>> {
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

    fn writing(&self) -> Writing<'_> {
        let gate = self.gate.read();
        if !*gate {
            return Writing::Unmapped(gate);
        }
        drop(gate);
        Writing::Mapped(self.gate.write())
    }
}

/// The files that are open past the cache, with how often they are.
#[derive(Default)]
pub(super) struct MappedFiles(Mutex<HashMap<NodeId, (Arc<Mapped>, usize)>>);

impl MappedFiles {
    /// Counts one more handle on `id`.
    pub(super) fn open(&self, id: NodeId, can_change: bool) -> Arc<Mapped> {
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

impl Bridge {
    /// Writes what the kernel has in its cache back to `id`: pages of a map.
    pub fn write_back(&self, id: NodeId, handle: &Handle, offset: u64, data: &[u8]) -> Result<usize> {
        let Some(mapped) = handle.mapped() else { return self.write_at(handle, offset, data) };
        let _writing = mapped.writing();
        let changed = mapped.pages.lock().replaced.changed(offset, data);
        let Some(changed) = changed else { return self.write_at(handle, offset, data) };
        for part in changed {
            let mut at = part.start;
            while at < part.end {
                match self.write_at(handle, offset.saturating_add(at as u64), &data[at..part.end])? {
                    0 => return Ok(at),
                    n => at += n,
                }
            }
        }
        // What the kernel has there now nobody has written.
        self.invalidator.data(id, offset, data.len() as u64);
        Ok(data.len())
    }

    /// Changes `length` bytes of `id` at `offset` by `change`, not through the kernel's cache.
    pub(super) fn change<T>(
        &self,
        id: NodeId,
        handle: &Handle,
        offset: u64,
        length: u64,
        change: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let Some(mapped) = handle.mapped() else { return change() };
        let writing = mapped.writing();
        if let Writing::Unmapped(_) = writing {
            return change();
        }
        let (known, reader) = {
            let pages = mapped.pages.lock();
            (pages.replaced.known(offset, length), pages.reader.clone())
        };
        let Some(reader) = reader.filter(|_| !known.is_empty()) else { return change() };
        for part in &known {
            self.keep(id, mapped, &reader, part)?;
        }
        let result = change()?;
        for part in known {
            self.invalidator.data(id, part.start, part.end - part.start);
        }
        Ok(result)
    }

    fn keep(&self, id: NodeId, mapped: &Mapped, reader: &Handle, part: &Range<u64>) -> Result<()> {
        const AT_ONCE: u64 = 1 << 20;
        let mut offset = part.start;
        while offset < part.end {
            let size = usize::try_from((part.end - offset).min(AT_ONCE)).unwrap_or(0);
            let mut bytes = self.read(id, reader, offset, size, |data| data.to_vec())?;
            // As the kernel has it: behind the end are zeros.
            bytes.resize(size, 0);
            mapped.pages.lock().replaced.keep(offset, &bytes);
            offset += size as u64;
        }
        Ok(())
    }
}
