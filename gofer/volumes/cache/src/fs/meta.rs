//! What is known of a file.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use lisafs::backend::{Errno, Result, Statx};
use parking_lot::MutexGuard;

use super::Volume;
use super::inode::Inode;
use super::listing::Listing;

/// So many attributes of a file are kept, of so many bytes each.
const XATTRS: usize = 32;
const LONGEST: usize = 4096;

/// Something that was true at a moment.
pub(super) struct Dated<T>(T, Instant);

impl<T> Dated<T> {
    pub(super) fn new(value: T) -> Self {
        Dated(value, Instant::now())
    }

    /// The value, if it still counts.
    pub(super) fn get(&self, volume: &Volume) -> Option<&T> {
        (volume.is_exclusive() || self.1.elapsed() < volume.options.ttl).then_some(&self.0)
    }
}

/// The value of an extended attribute, or why there is none.
type Value = std::result::Result<Arc<[u8]>, Errno>;

/// What is known of a file.
#[derive(Default)]
pub(super) struct Meta {
    /// When a change has begun or ended last.
    changed: u64,
    /// How many changes are being made.
    changes: usize,
    stat: Option<Dated<Statx>>,
    xattrs: HashMap<Box<[u8]>, Dated<Value>>,
    xattr_names: Option<Dated<Arc<Vec<Vec<u8>>>>>,
    /// Where a symbolic link leads, which never changes.
    target: Option<Arc<[u8]>>,
    listing: Option<Dated<Arc<Listing>>>,
}

impl Meta {
    /// Nothing, of a file that may have been changed until `changed`.
    pub(super) fn new(changed: u64) -> Self {
        Meta { changed, ..Meta::default() }
    }

    /// When a change has begun or ended last.
    pub(super) fn changed(&self) -> u64 {
        self.changed
    }

    fn forget(&mut self, now: u64) {
        self.changed = now;
        self.stat = None;
        self.listing = None;
        self.xattr_names = None;
        if !self.xattrs.is_empty() {
            self.xattrs = HashMap::new();
        }
    }
}

/// A change that is being made. Dropping it ends it.
pub(super) struct Change<'a> {
    inode: &'a Inode,
    begun: u64,
}

impl Change<'_> {
    /// Ends it, and does `with` if nobody has changed the file meanwhile.
    pub(super) fn end(self, with: impl FnOnce(&mut Meta)) {
        let mut meta = self.inode.meta.lock();
        let is_alone = meta.changed == self.begun && meta.changes == 1;
        meta.forget(self.inode.tick());
        if is_alone {
            with(&mut meta);
        }
        meta.changes -= 1;
        drop(meta);
        std::mem::forget(self);
    }
}

impl Drop for Change<'_> {
    fn drop(&mut self) {
        let mut meta = self.inode.meta.lock();
        meta.forget(self.inode.tick());
        meta.changes -= 1;
    }
}

impl Inode {
    /// Begins a change of the file, or of the names in it.
    pub(super) fn change(&self) -> Change<'_> {
        let mut meta = self.meta.lock();
        meta.forget(self.tick());
        meta.changes += 1;
        Change { inode: self, begun: meta.changed }
    }

    /// What is known, to keep an answer in that was asked for at `asked`; `None` if the file was changed since.
    pub(super) fn keep(&self, asked: u64) -> Option<MutexGuard<'_, Meta>> {
        let meta = self.meta.lock();
        (meta.changes == 0 && meta.changed <= asked).then_some(meta)
    }

    /// Keeps attributes that the backend has told.
    pub(super) fn keep_stat(&self, asked: u64, stat: &Statx) {
        if let Some(mut meta) = self.keep(asked) {
            meta.stat = Some(Dated::new(*stat));
        }
    }

    /// The attributes, if they are known.
    pub(super) fn known_stat(&self, volume: &Volume) -> Option<Statx> {
        self.meta.lock().stat.as_ref().and_then(|stat| stat.get(volume)).copied()
    }

    /// The attributes, or what `ask` says.
    pub(super) fn stat(&self, volume: &Volume, ask: impl FnOnce() -> Result<Statx>) -> Result<Statx> {
        if let Some(stat) = self.known_stat(volume) {
            volume.store.stats.metadata_hits.add(1);
            return Ok(stat);
        }
        volume.store.stats.metadata_misses.add(1);
        let asked = self.now();
        let stat = ask()?;
        self.keep_stat(asked, &stat);
        Ok(stat)
    }

    /// Where the link leads, or what `ask` says.
    pub(super) fn target(&self, volume: &Volume, ask: impl FnOnce() -> Result<Vec<u8>>) -> Result<Vec<u8>> {
        if let Some(target) = &self.meta.lock().target {
            volume.store.stats.metadata_hits.add(1);
            return Ok(target.to_vec());
        }
        volume.store.stats.metadata_misses.add(1);
        let target = ask()?;
        self.meta.lock().target = Some(Arc::from(&target[..]));
        Ok(target)
    }

    /// The value of an extended attribute, or what `ask` says.
    pub(super) fn xattr(&self, volume: &Volume, name: &[u8], ask: impl FnOnce() -> Result<Vec<u8>>) -> Result<Vec<u8>> {
        if let Some(known) = self.meta.lock().xattrs.get(name).and_then(|known| known.get(volume)) {
            volume.store.stats.metadata_hits.add(1);
            return known.as_ref().map(|value| value.to_vec()).map_err(|errno| (*errno).into());
        }
        volume.store.stats.metadata_misses.add(1);
        let asked = self.now();
        let answer = ask();
        let known = match &answer {
            Ok(value) if value.len() <= LONGEST => Ok(Arc::from(&value[..])),
            Err(error) if matches!(error.errno(), Errno::NODATA | Errno::OPNOTSUPP) => Err(error.errno()),
            _ => return answer,
        };
        if let Some(mut meta) = self.keep(asked) {
            if meta.xattrs.len() >= XATTRS {
                meta.xattrs.clear();
            }
            meta.xattrs.insert(name.into(), Dated::new(known));
        }
        answer
    }

    /// The names of all extended attributes, or what `ask` says.
    pub(super) fn xattr_names(
        &self,
        volume: &Volume,
        ask: impl FnOnce() -> Result<Vec<Vec<u8>>>,
    ) -> Result<Vec<Vec<u8>>> {
        if let Some(names) = self.meta.lock().xattr_names.as_ref().and_then(|names| names.get(volume)) {
            volume.store.stats.metadata_hits.add(1);
            return Ok(names.to_vec());
        }
        volume.store.stats.metadata_misses.add(1);
        let asked = self.now();
        let names = ask()?;
        if names.iter().map(Vec::len).sum::<usize>() <= LONGEST
            && let Some(mut meta) = self.keep(asked)
        {
            meta.xattr_names = Some(Dated::new(Arc::new(names.clone())));
        }
        Ok(names)
    }

    /// What is in the directory, or what `ask` says.
    pub(super) fn listing(&self, volume: &Volume, ask: impl FnOnce() -> Result<Listing>) -> Result<Arc<Listing>> {
        if let Some(listing) = self.meta.lock().listing.as_ref().and_then(|listing| listing.get(volume)) {
            volume.store.stats.metadata_hits.add(1);
            return Ok(listing.clone());
        }
        volume.store.stats.metadata_misses.add(1);
        let asked = self.now();
        let listing = Arc::new(ask()?);
        if listing.is_kept()
            && let Some(mut meta) = self.keep(asked)
        {
            meta.listing = Some(Dated::new(listing.clone()));
        }
        Ok(listing)
    }
}
