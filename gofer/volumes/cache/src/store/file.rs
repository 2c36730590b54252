//! One file's data.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::SystemTime;

use lisafs::backend::{Errno, IoTarget, Result, Statx};
use parking_lot::{Condvar, Mutex, RwLock, RwLockUpgradableReadGuard};

use super::disk::{Disk, Loaded};
use super::header::{Header, Key, Version};
use super::map::{Chunk, Heat, Map, block_of};
use super::{BLOCK, CHUNK, DIRECTORY, OVERHEAD, Store};

mod change;
mod read;

/// Where data comes from that is not here.
pub(crate) trait Source: Send + Sync {
    /// Reads from byte `offset` on, as [`OpenFile::read_at`](lisafs::backend::OpenFile::read_at).
    fn read_at(&self, into: IoTarget<'_>, offset: u64) -> Result<usize>;
}

/// What a reader wants.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Want {
    /// Up to where what is missing is fetched together with what is read, if that is beyond.
    pub(crate) fetch_to: u64,
    /// The block that the reader was in before, if it was in one.
    pub(crate) last_block: Option<u64>,
}

/// The data of one file, shared by all who have it open.
pub(crate) struct CacheFile {
    store: Arc<Store>,
    key: Key,
    /// What is read or fetched has it shared; what changes the file, or takes blocks away, has it alone.
    gate: RwLock<Body>,
    map: Mutex<Map>,
    /// Somebody has fetched something, or has failed to.
    fetched: Condvar,
    heat: Arc<Heat>,
    /// How often the data has changed here.
    changes: AtomicU64,
    /// How many have a descriptor of the data file open.
    pins: AtomicUsize,
}

/// What the data is.
#[derive(Default)]
struct Body {
    /// Nothing is kept if there is none.
    version: Option<Version>,
    /// Bytes of the file: those of the version if nothing has changed since.
    size: u64,
    /// Whether the file was changed here since it had that version.
    is_changed: bool,
    /// For whom the version was looked at: the number of an inode, which holds the file as long as it lives.
    validated: Option<u64>,
    /// When the version was seen first.
    since: u64,
    disk: Option<Disk>,
    /// Whether the directory was looked into.
    is_loaded: bool,
    was_donated: bool,
}

impl Body {
    /// What stands in the map file.
    fn header(&self, key: Key) -> Option<Header> {
        let Body { version, is_changed, was_donated, since, .. } = *self;
        Some(Header { key, version: version?, is_clean: !is_changed, was_donated, since })
    }
}

impl CacheFile {
    pub(super) fn new(store: Arc<Store>, key: Key, heat: Arc<Heat>) -> Self {
        CacheFile {
            store,
            key,
            gate: RwLock::default(),
            map: Mutex::default(),
            fetched: Condvar::new(),
            heat,
            changes: AtomicU64::new(0),
            pins: AtomicUsize::new(0),
        }
    }

    /// How often the data has changed here, to be asked before attributes are.
    pub(crate) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Bytes of the file, if anything is kept of it.
    pub(crate) fn size(&self) -> Option<u64> {
        let body = self.gate.read();
        body.version.map(|_| body.size)
    }

    /// Takes note of the attributes that the file has, or had when [`changes`](Self::changes) was asked for: what is
    /// here of another version goes. `inode` is who asks: in `exclusive` mode, what was once valid for that stays so.
    ///
    /// A file that is open by donated descriptors is brought up to date from `source`; an error is that of `source`.
    pub(crate) fn validate(
        &self,
        inode: u64,
        stat: &Statx,
        changes: u64,
        exclusive: bool,
        source: &dyn Source,
    ) -> Result<()> {
        let Some(version) = Version::of(stat) else {
            self.invalidate();
            return Ok(());
        };
        let body = self.gate.upgradable_read();
        let is_same = body.version == Some(version) && !body.is_changed;
        let is_looked_at = if exclusive { body.validated == Some(inode) } else { body.validated.is_some() };
        if is_same && is_looked_at && (exclusive || !version.may_hide_changes(body.since)) {
            return Ok(());
        }
        let mut body = RwLockUpgradableReadGuard::upgrade(body);
        self.load(&mut body);
        let is_known = body.validated == Some(inode) && body.version.is_some();
        if exclusive && self.changes() != changes {
            // These may be the attributes from before.
            if !is_known {
                self.forget(&mut body);
            }
            return Ok(());
        }
        if exclusive && is_known && body.size == version.size {
            self.adopt(&mut body, version);
            return Ok(());
        }
        let is_same = body.version == Some(version) && !body.is_changed;
        if is_same && (exclusive || !version.may_hide_changes(body.since)) {
            body.validated = Some(inode);
            return Ok(());
        }
        if self.pins.load(Ordering::Acquire) > 0 && body.disk.is_some() {
            self.begin_refresh(&mut body, version, inode);
            drop(body);
            return self.refresh(source);
        }
        self.clear(&mut body);
        *body = Body {
            version: Some(version),
            size: version.size,
            validated: Some(inode),
            since: now(),
            is_loaded: true,
            ..Body::default()
        };
        Ok(())
    }

    /// Forgets everything; from now on data is only passed on.
    pub(crate) fn invalidate(&self) {
        let mut body = self.gate.write();
        self.forget(&mut body);
    }

    fn forget(&self, body: &mut Body) {
        self.load(body);
        self.clear(body);
        *body = Body { is_loaded: true, ..Body::default() };
        self.changes.fetch_add(1, Ordering::Release);
    }

    /// Looks for what there is on the disk.
    fn load(&self, body: &mut Body) {
        if body.is_loaded {
            return;
        }
        body.is_loaded = true;
        match Disk::load(&self.store.directory, self.key) {
            Ok(Loaded::Usable(disk, header, map)) => {
                *self.map.lock() = map;
                *body = Body {
                    version: Some(header.version),
                    size: header.version.size,
                    since: header.since,
                    was_donated: header.was_donated,
                    disk: Some(disk),
                    is_loaded: true,
                    ..Body::default()
                };
            }
            Ok(Loaded::Useless) => self.discard(),
            Ok(Loaded::Nothing) => {}
            Err(error) => {
                self.store.failed(&error);
                self.discard();
            }
        }
    }

    /// Makes the two files, if there are none and something is to be kept. Says whether they are there.
    fn create(&self, body: &mut Body) -> bool {
        if body.disk.is_some() {
            return true;
        }
        let Some(header) = body.header(self.key) else { return false };
        if !self.store.reserve(OVERHEAD + DIRECTORY) {
            return false;
        }
        match Disk::create(&self.store.directory, &header, body.size) {
            Ok((disk, is_first)) => {
                body.disk = Some(disk);
                self.store.release(if is_first { 0 } else { DIRECTORY });
            }
            Err(error) => {
                self.store.release(OVERHEAD + DIRECTORY);
                self.store.failed(&error);
            }
        }
        body.disk.is_some()
    }

    /// Removes the two files, if they are there. The file stays what it is.
    fn clear(&self, body: &mut Body) {
        if body.disk.take().is_some() {
            body.was_donated = false;
            self.discard();
        }
    }

    fn discard(&self) {
        match Disk::remove(&self.store.directory, self.key) {
            Ok(was_last) => self.store.release(if was_last { DIRECTORY } else { 0 }),
            // They are in no map that anybody believes: at worst, they take space until the next start.
            Err(error) => self.store.failed(&error),
        }
        let mut blocks: Vec<u64> = self.map.lock().there().map(|(chunk, _)| block_of(chunk)).collect();
        blocks.push(0);
        blocks.dedup();
        *self.map.lock() = Map::default();
        self.store.remove_all(self.key, blocks);
        self.store.release(OVERHEAD);
    }

    /// Takes a block away. `false` if that cannot be now.
    pub(super) fn evict(&self, block: u64) -> bool {
        let Some(mut body) = self.gate.try_write() else { return false };
        self.load(&mut body);
        if self.pins.load(Ordering::Acquire) > 0 {
            return false;
        }
        let is_all = self.map.lock().there().all(|(chunk, _)| block_of(chunk) == block);
        // Who still has a donated descriptor keeps the file, which must not get holes.
        if is_all || body.was_donated || body.disk.is_none() {
            let bytes = self.map.lock().there().count() as u64 * CHUNK;
            self.store.stats.evicted_bytes.add(bytes);
            self.clear(&mut body);
            self.store.removed(self.key, block);
        } else {
            let chunks = block * BLOCK / CHUNK..(block + 1) * BLOCK / CHUNK;
            let is_done = self.take_away(&body, chunks);
            if let Err(error) = is_done {
                self.store.failed(&error);
                self.clear(&mut body);
            }
            self.store.stats.evicted_bytes.add(self.store.removed(self.key, block));
        }
        self.store.stats.evictions.add(1);
        true
    }

    /// Takes chunks out of the map, and then their data out of the file.
    fn take_away(&self, body: &Body, chunks: std::ops::Range<u64>) -> io::Result<()> {
        let Some(disk) = &body.disk else { return Ok(()) };
        let mut map = self.map.lock();
        let len = chunks.end - chunks.start;
        chunks.clone().for_each(|chunk| map.set(chunk, Chunk::Absent));
        drop(map);
        disk.put_checksums(chunks.start, &vec![0; super::index(len)])?;
        disk.punch(chunks.start * CHUNK, len * CHUNK)
    }

    /// Opens the data for somebody who reads it without asking, if all of it is there.
    pub(crate) fn donate(self: &Arc<Self>) -> Option<(OwnedFd, Pin)> {
        let mut body = self.gate.write();
        let header = body.header(self.key).filter(|header| header.is_clean)?;
        if body.size == 0 || body.disk.is_none() || !self.is_whole(&body) {
            return None;
        }
        let disk = body.disk.as_ref()?;
        let opened = disk.reopen().and_then(|fd| {
            if !header.was_donated {
                disk.put_header(&Header { was_donated: true, ..header })?;
            }
            Ok(fd)
        });
        let fd = opened.map_err(|error| self.store.failed(&error)).ok()?;
        body.was_donated = true;
        (0..body.size.div_ceil(BLOCK)).for_each(|block| self.heat.add(block));
        self.pins.fetch_add(1, Ordering::AcqRel);
        self.store.stats.donated.add(1);
        Some((fd, Pin(self.clone())))
    }

    fn seed(&self) -> u32 {
        let Key { volume, device, ino } = self.key;
        let mix = volume ^ ino.rotate_left(17) ^ u64::from(device.0).rotate_left(40) ^ u64::from(device.1);
        let mix = mix.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mix >> 32) as u32
    }
}

impl Drop for CacheFile {
    fn drop(&mut self) {
        let body = self.gate.get_mut();
        if body.is_changed
            && let Some(disk) = body.disk.take()
        {
            // Nobody would believe it.
            drop(disk);
            self.discard();
        }
        self.store.dropped(self.key);
    }
}

/// Keeps the data of a file whole as long as a donated descriptor is open.
pub(crate) struct Pin(Arc<CacheFile>);

impl Drop for Pin {
    fn drop(&mut self) {
        self.0.pins.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Nanoseconds since 1970.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// What a backend's file that cannot be brought up to date fails with.
fn incomplete() -> lisafs::backend::Error {
    Errno::IO.because("a file that is open by a descriptor of the cache cannot be brought up to date")
}
