//! Changes of one file.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use lisafs::backend::{Errno, Error, IoSource, IoTarget, Result, Statx, StatxTimestamp, Timespec};
use parking_lot::{Condvar, Mutex, MutexGuard};
use rustix::time::{ClockId, clock_gettime};

use super::{Back, Entry, LONGEST_RETRY, RETRY, Retry};
use crate::back::{Change, Head, Journal, Origin, Overlay, Piece};
use crate::fs::Volume;
use crate::fs::inode::Inode;
use crate::fs::node::Node;
use crate::fs::reader::Reader;
use crate::store::{CacheFile, index, on_disk};

/// Changes of a file that the backend does not have.
#[derive(Default)]
pub(in crate::fs) struct Pending {
    state: Mutex<State>,
    changed: Condvar,
    /// Whether there is any layer.
    is_dirty: AtomicBool,
    /// The file is gone, and with it layers that were not uploaded.
    is_dropped: AtomicBool,
    /// Changes went past the journals since the backend was told to keep them.
    has_passed: AtomicBool,
}

#[derive(Default)]
struct State {
    /// The oldest first.
    layers: Vec<Layer>,
    /// By what they are uploaded.
    user: Option<Arc<User>>,
    /// How many change the file past the journals, or want it to stay as it is.
    holds: usize,
    /// Why an upload has failed, of which nobody has heard yet.
    untold: Option<Errno>,
    /// How often uploads have failed, and why the last one has.
    failures: u64,
    failing: Option<Errno>,
    /// Somebody waits until all layers are uploaded.
    is_wanted: bool,
    /// There may be more names than the backend has said.
    is_linked: bool,
    /// How many are about to remove what seems to be the last name.
    unlinking: usize,
    /// The last name is gone.
    is_unlinked: bool,
}

/// Changes that are in one journal.
struct Layer {
    journal: Arc<Journal>,
    end: u64,
    overlay: Arc<Overlay>,
    mtime: Timespec,
    changed: Timespec,
    /// Nothing is added any more.
    is_sealed: bool,
}

/// A file that is written, to upload its changes.
pub(in crate::fs) struct User {
    pub(in crate::fs) volume: Arc<Volume>,
    pub(in crate::fs) node: Arc<Node>,
    pub(in crate::fs) reader: Arc<Reader>,
    pub(in crate::fs) file: Arc<CacheFile>,
}

/// What a journal has before its path, at most.
const HEAD_AT_MOST: u64 = 64;

/// What a journal of so many bytes takes on the disk.
fn taken(bytes: u64) -> u64 {
    /// Its name and its inode.
    const ENTRY: u64 = 512;
    on_disk(bytes) + ENTRY
}

/// What is uploaded.
pub(super) struct Upload {
    pub(super) journal: Arc<Journal>,
    pub(super) overlay: Arc<Overlay>,
    pub(super) mtime: Timespec,
}

/// What attributes do not say yet.
#[derive(Clone, Copy, Debug)]
pub(in crate::fs) struct Unsaved {
    size: u64,
    mtime: Timespec,
    changed: Timespec,
    bytes: u64,
}

/// What seems to be the last name of a file is about to go.
pub(in crate::fs) struct Unlinking<'a>(&'a Inode);

impl Unlinking<'_> {
    /// It is gone.
    pub(in crate::fs) fn end(self) {
        let mut state = self.0.pending.state.lock();
        state.is_unlinked = true;
        for layer in &state.layers {
            // Otherwise it is found that the file is gone.
            let _ = layer.journal.remove();
        }
        drop(state);
        if !self.0.is_used() {
            self.0.pending.let_go();
        }
    }
}

impl Drop for Unlinking<'_> {
    fn drop(&mut self) {
        let pending = &self.0.pending;
        pending.state.lock().unlinking -= 1;
        pending.changed.notify_all();
    }
}

/// As long as it lives, changes of a file do not go to a journal, and there is none.
pub(in crate::fs) struct Hold(Arc<Inode>);

impl Drop for Hold {
    fn drop(&mut self) {
        let pending = &self.0.pending;
        pending.state.lock().holds -= 1;
        pending.changed.notify_all();
    }
}

/// Where bytes of a file are.
pub(in crate::fs) enum Part {
    Journal(Arc<Journal>, Piece),
    Below,
    Zeros,
}

/// The time, as file systems tell it.
fn now() -> Timespec {
    let now = clock_gettime(ClockId::RealtimeCoarse);
    Timespec { sec: now.tv_sec, nsec: now.tv_nsec }
}

impl Unsaved {
    /// Puts it into attributes as they are without it.
    pub(in crate::fs) fn onto(this: Option<&Self>, mut stat: Statx) -> Statx {
        let Some(this) = this else { return stat };
        let stamp = |time: Timespec| StatxTimestamp::new(time.sec, u32::try_from(time.nsec).unwrap_or(0));
        stat.size = this.size;
        stat.blocks = stat.blocks.max(this.bytes.min(this.size).div_ceil(512));
        stat.mtime = stamp(this.mtime);
        let changed = stamp(this.changed);
        if (stat.ctime.sec, stat.ctime.nsec) < (changed.sec, changed.nsec) {
            stat.ctime = changed;
        }
        stat
    }
}

impl Pending {
    pub(in crate::fs) fn is_dirty(&self) -> bool {
        self.is_dirty.load(Ordering::Acquire)
    }

    /// Notes a change that went past the journals.
    pub(in crate::fs) fn pass(&self) {
        self.has_passed.store(true, Ordering::Release);
    }

    pub(in crate::fs) fn has_passed(&self) -> bool {
        self.has_passed.load(Ordering::Acquire)
    }

    /// Has the backend `sync` the file, with what went past the journals.
    pub(in crate::fs) fn sync_passed(&self, sync: impl FnOnce() -> Result<()>) -> Result<()> {
        let has_passed = self.has_passed.swap(false, Ordering::AcqRel);
        sync().inspect_err(|_| {
            if has_passed {
                self.pass();
            }
        })
    }

    /// Whether the file is gone, and with it what was not uploaded. Whoever [takes](Inode::take) a file and then finds
    /// that it is not has all of it, as long as he keeps it.
    pub(in crate::fs) fn is_dropped(&self) -> bool {
        self.is_dropped.load(Ordering::SeqCst)
    }

    /// Drops what was not uploaded of a file that is gone, unless a client can get at it.
    fn try_drop(&self, inode: &Inode) -> bool {
        // In this order, so that of those who take the file now one side sees the other.
        self.is_dropped.store(true, Ordering::SeqCst);
        let is_used = inode.is_used();
        self.is_dropped.store(!is_used, Ordering::SeqCst);
        !is_used
    }

    /// What attributes do not say yet, to be asked before they are.
    pub(in crate::fs) fn unsaved(&self) -> Option<Unsaved> {
        if !self.is_dirty() {
            return None;
        }
        let state = self.state.lock();
        let bytes = state.layers.iter().map(|layer| layer.end).sum();
        state.layers.last().map(|layer| {
            let Layer { mtime, changed, .. } = *layer;
            Unsaved { size: layer.overlay.size(), mtime, changed, bytes }
        })
    }

    /// Where the bytes of a range are, up to the end of the file; `None` if there are no changes.
    pub(in crate::fs) fn parts(&self, range: Range<u64>) -> Option<Vec<(Range<u64>, Part)>> {
        if !self.is_dirty() {
            return None;
        }
        let state = self.state.lock();
        let mut parts = Vec::new();
        state.resolve(state.layers.len(), range, &mut parts);
        (!state.layers.is_empty()).then_some(parts)
    }

    /// What went wrong that nobody has heard of yet.
    pub(in crate::fs) fn take_error(&self) -> Result<()> {
        if !self.is_dirty() {
            return Ok(());
        }
        self.state.lock().untold.take().map_or(Ok(()), |errno| Err(errno.into()))
    }

    /// Has all layers uploaded soon.
    pub(super) fn want(&self, back: &Back) {
        self.state.lock().want(back);
    }

    /// Keeps what there is by the disk of the cache.
    pub(in crate::fs) fn sync_locally(&self, back: &Back) -> Result<()> {
        let journals: Vec<_> = self.state.lock().layers.iter().map(|layer| layer.journal.clone()).collect();
        let synced = journals.iter().try_for_each(|journal| journal.sync()).and_then(|()| back.sync_directory());
        synced.map_err(|error| Errno::IO.because(error))
    }

    /// The file is about to be given another name, once nobody removes what seems to be its last one.
    pub(in crate::fs) fn link(&self) {
        let mut state = self.state.lock();
        while state.unlinking > 0 {
            self.changed.wait(&mut state);
        }
        state.is_linked = true;
    }

    /// Nobody can get at the file any more, unless it has a name. If it has none, what was not uploaded goes at once,
    /// instead of taking up room until what has failed is tried again.
    pub(in crate::fs) fn let_go(&self) {
        if !self.is_dirty() {
            return;
        }
        let mut state = self.state.lock();
        if let Some(user) = state.user.clone().filter(|_| state.is_unlinked)
            && let Some(back) = &user.volume.back
        {
            state.want(back);
        }
    }

    /// What seems to be the last name is about to go: should the process end, nobody misses what was not uploaded.
    /// `None` if it may not be the last.
    pub(in crate::fs) fn begin_unlink<'a>(back: &Back, inode: &'a Inode) -> Option<Unlinking<'a>> {
        let mut state = inode.pending.state.lock();
        if state.is_linked {
            return None;
        }
        state.unlinking += 1;
        state.note_unlinking(back);
        Some(Unlinking(inode))
    }

    /// A layer that was found on the disk.
    pub(super) fn restore(&self, back: &Back, inode: &Arc<Inode>, user: User, found: crate::back::Replayed) {
        let mut state = self.state.lock();
        let number = found.journal.number();
        if state.layers.is_empty() {
            back.queue.lock().files.insert(number, Entry::new(inode.clone(), true));
            state.user = Some(Arc::new(user));
        }
        back.store.claim(taken(found.end));
        back.grow(found.end);
        state.layers.push(Layer {
            journal: Arc::new(found.journal),
            end: found.end,
            overlay: Arc::new(found.overlay),
            mtime: found.mtime,
            changed: found.mtime,
            is_sealed: true,
        });
        self.is_dirty.store(true, Ordering::Release);
        back.work.notify_all();
    }

    /// Uploads the oldest layer, and says to all who wait how it went. What is returned holds the file's position, and
    /// is to be dropped after the file: it may be the last reference of all.
    pub(super) fn upload_first(&self, back: &Back) -> Option<Arc<User>> {
        let (user, upload, is_needed) = {
            let mut state = self.state.lock();
            let user = state.user.clone();
            let is_unlinked = state.is_unlinked;
            let (user, layer) = user.zip(state.layers.first_mut())?;
            layer.is_sealed = true;
            let Layer { journal, overlay, mtime, .. } = layer;
            let upload = Upload { journal: journal.clone(), overlay: overlay.clone(), mtime: *mtime };
            let is_needed = !(is_unlinked && self.try_drop(&user.node.inode));
            (user, upload, is_needed)
        };
        let uploaded = if is_needed { user.upload(&upload) } else { Ok(()) };
        // Whoever changes the file next must not have it changed back after a kill.
        let ended = uploaded.and_then(|()| back.remove(&upload.journal).map_err(|error| Errno::IO.because(error)));
        let mut state = self.state.lock();
        let number = upload.journal.number();
        let mut queue = back.queue.lock();
        let Some(mut entry) = queue.files.remove(&number) else { return Some(user) };
        entry.is_busy = false;
        match ended {
            Ok(()) => {
                let bytes = state.layers.remove(0).end;
                (state.untold, state.failing) = (None, None);
                queue.bytes = queue.bytes.saturating_sub(bytes);
                back.store.release(taken(bytes));
                if is_needed {
                    back.store.stats.uploads.add(1);
                    back.store.stats.uploaded_bytes.add(bytes);
                }
                if let Some(next) = state.layers.first() {
                    let number = next.journal.number();
                    queue.files.insert(number, Entry::new(entry.inode, state.is_wanted));
                } else {
                    state.is_wanted = false;
                    self.is_dirty.store(false, Ordering::Release);
                    state.user = None;
                }
            }
            Err(error) => {
                let delay = entry.retry.as_ref().map_or(RETRY, |retry| (retry.delay * 2).min(LONGEST_RETRY));
                // Whoever syncs has it tried again at once, perhaps often.
                if state.failing != Some(error.errno()) {
                    tracing::warn!("{:?} cannot be uploaded, which is tried again: {error}", entry.inode.name());
                }
                let errno = error.errno();
                entry.retry = Some(Retry { at: std::time::Instant::now() + delay, delay, errno });
                state.failures += 1;
                (state.untold, state.failing) = (Some(errno), Some(errno));
                back.store.stats.upload_failures.add(1);
                queue.files.insert(number, entry);
            }
        }
        drop((queue, state));
        back.work.notify_all();
        back.progress.notify_all();
        self.changed.notify_all();
        Some(user)
    }
}

impl State {
    fn want(&mut self, back: &Back) {
        self.is_wanted = true;
        if let Some(first) = self.layers.first() {
            back.want(first.journal.number());
        }
    }

    /// Where the bytes of a range are, if there are only the first `count` layers.
    fn resolve(&self, count: usize, range: Range<u64>, parts: &mut Vec<(Range<u64>, Part)>) {
        let Some(below) = count.checked_sub(1) else { return parts.push((range, Part::Below)) };
        let layer = &self.layers[below];
        layer.overlay.origins(range, |range, origin| match origin {
            Origin::Piece(piece) => parts.push((range, Part::Journal(layer.journal.clone(), piece))),
            Origin::Zeros => parts.push((range, Part::Zeros)),
            Origin::Below => self.resolve(below, range, parts),
        });
    }

    /// Adds a change to the newest layer, which is made if there is none that takes it. `false` if there is no room for
    /// it on the disk of the cache, or it must not go there now.
    fn add(
        &mut self,
        back: &Back,
        inode: &Arc<Inode>,
        change: Change,
        time: Timespec,
        data: &IoSource<'_>,
        size: u64,
    ) -> bool {
        if !back.takes_changes || self.holds > 0 || self.is_unlinked || back.store.is_in_trouble() {
            return false;
        }
        if self.layers.last().is_none_or(|layer| layer.is_sealed) && !self.make(back, inode, size) {
            return false;
        }
        let Some(layer) = self.layers.last_mut() else { return false };
        let added = layer.append(back, change, time, data);
        if let Err(error) = &added {
            back.store.failed(error);
        }
        if self.unlinking > 0 {
            self.note_unlinking(back);
        }
        added.is_ok_and(|is_room| is_room)
    }

    /// Notes that nobody misses what is not uploaded, should the process end before the last name is gone, or just
    /// after.
    fn note_unlinking(&mut self, back: &Back) {
        if let Some(layer) = self.layers.last_mut() {
            // At worst, somebody is told of data that nobody misses.
            let _ = layer.append(back, Change::Unlink, now(), &IoSource::from(&[][..]));
        }
    }

    /// Makes a layer of a file that has `size` bytes without it.
    fn make(&mut self, back: &Back, inode: &Arc<Inode>, size: u64) -> bool {
        let number = back.next_number();
        let is_first = self.layers.is_empty();
        let Some(path) = back.admit(inode, number, is_first) else { return false };
        let (ino, now) = (inode.identity.2, now());
        // Small as it is, it takes a block of the disk.
        let most = taken(HEAD_AT_MOST + path.iter().map(|name| name.len() as u64 + 1).sum::<u64>());
        let is_room = back.store.reserve(most);
        match is_room.then(|| Journal::create(&back.directory, number, &Head { path, ino, size })) {
            Some(Ok((journal, end))) => {
                back.store.release(most - taken(end));
                back.grow(end);
                let (journal, overlay) = (Arc::new(journal), Arc::new(Overlay::new(size)));
                self.layers.push(Layer { journal, end, overlay, mtime: now, changed: now, is_sealed: false });
                true
            }
            failed => {
                if let Some(Err(error)) = failed {
                    back.store.release(most);
                    back.store.failed(&error);
                }
                if is_first {
                    back.queue.lock().files.remove(&number);
                }
                false
            }
        }
    }
}

impl Layer {
    /// Adds a change; `false` if there is no room.
    fn append(&mut self, back: &Back, change: Change, time: Timespec, data: &IoSource<'_>) -> std::io::Result<bool> {
        /// What a record has besides its data.
        const MORE: u64 = 64;
        let start = self.end;
        let most = on_disk(start + data.len() as u64 + MORE) - on_disk(start);
        if !back.store.reserve(most) {
            return Ok(false);
        }
        let appended = self.journal.append(start, change, time, data);
        let end = *appended.as_ref().unwrap_or(&start);
        back.store.release(most - (on_disk(end) - on_disk(start)));
        back.grow(end - start);
        self.end = end;
        appended?;
        let overlay = Arc::make_mut(&mut self.overlay);
        match change {
            Change::Write(offset) => overlay.write(offset, data.len() as u64, start),
            Change::Resize(size) => overlay.resize(size),
            Change::Unlink => return Ok(true),
            Change::Time => {}
        }
        (self.mtime, self.changed) = (time, now());
        Ok(true)
    }
}

impl Back {
    /// Puts a file into the queue, if it is `is_first` of it. Says which path leads to it; `None` if that is not known
    /// or may change just now.
    fn admit(&self, inode: &Arc<Inode>, number: u64, is_first: bool) -> Option<Vec<Box<[u8]>>> {
        let mut queue = self.queue.lock();
        if queue.moves > 0 {
            return None;
        }
        let path = inode.path()?;
        if is_first {
            queue.files.insert(number, Entry::new(inode.clone(), false));
            self.work.notify_one();
        }
        Some(path)
    }

    /// Writes to a journal. `None` if that cannot be now, and the file is to be [settled](Self::settle).
    pub(in crate::fs) fn write(
        &self,
        inode: &Arc<Inode>,
        user: impl FnOnce() -> User,
        from: &IoSource<'_>,
        offset: u64,
    ) -> Result<Option<usize>> {
        let end = offset.checked_add(from.len() as u64).and_then(|end| i64::try_from(end).ok());
        if !self.takes_changes || end.is_none() || from.is_empty() {
            return Ok(None);
        }
        inode.pending.take_error()?;
        self.wait_for_room()?;
        let mut state = inode.pending.state.lock();
        let user = if state.layers.is_empty() { Some(user()) } else { None };
        let size = match (&user, state.layers.last()) {
            (Some(user), _) => inode.stat(&user.volume, || user.node.inner.stat())?.size,
            (None, Some(layer)) => layer.overlay.size(),
            (None, None) => return Ok(None),
        };
        let is_added = state.add(self, inode, Change::Write(offset), now(), from, size);
        inode.pending.note(&mut state, user);
        Ok(is_added.then_some(from.len()))
    }

    /// Sets the size of a file that has a journal. `false` if it has none, or that cannot be now.
    pub(in crate::fs) fn resize(&self, inode: &Arc<Inode>, size: u64) -> bool {
        inode.pending.is_dirty() && self.add(inode, Change::Resize(size), now())
    }

    /// Sets the time of the last change of a file that has a journal. `false` if it has none, or that cannot be now.
    pub(in crate::fs) fn set_time(&self, inode: &Arc<Inode>, time: Timespec) -> bool {
        let time = if time.nsec == Timespec::UTIME_NOW { now() } else { time };
        inode.pending.is_dirty() && self.add(inode, Change::Time, time)
    }

    fn add(&self, inode: &Arc<Inode>, change: Change, time: Timespec) -> bool {
        let mut state = inode.pending.state.lock();
        let Some(size) = state.layers.last().map(|layer| layer.overlay.size()) else { return false };
        state.add(self, inode, change, time, &IoSource::from(&[][..]), size)
    }

    /// Uploads what there is of a file, and has nothing more written to journals as long as what is returned lives.
    pub(in crate::fs) fn settle(&self, inode: &Arc<Inode>) -> Result<Hold> {
        let pending = &inode.pending;
        let mut state = pending.state.lock();
        state.holds += 1;
        drop(state);
        let hold = Hold(inode.clone());
        state = pending.state.lock();
        state.want(self);
        let failures = state.failures;
        while !state.layers.is_empty() {
            if state.failures != failures {
                return Err(self.failed(state));
            }
            pending.changed.wait(&mut state);
        }
        state.is_wanted = false;
        drop(state);
        Ok(hold)
    }

    fn failed(&self, mut state: MutexGuard<'_, State>) -> Error {
        state.untold = None;
        let errno = state.failing.unwrap_or(Errno::IO);
        drop(state);
        errno.into()
    }

    /// Waits until everything is uploaded that was written to a file before. Says whether there was anything.
    pub(in crate::fs) fn flush(&self, inode: &Arc<Inode>) -> Result<bool> {
        let pending = &inode.pending;
        if !pending.is_dirty() {
            return Ok(false);
        }
        let mut state = pending.state.lock();
        let Some(last) = state.layers.last_mut() else { return Ok(false) };
        last.is_sealed = true;
        let last = last.journal.number();
        state.want(self);
        let failures = state.failures;
        while state.layers.first().is_some_and(|layer| layer.journal.number() <= last) {
            if state.failures != failures {
                return Err(self.failed(state));
            }
            pending.changed.wait(&mut state);
        }
        Ok(true)
    }
}

impl Pending {
    /// The first layer was made, perhaps.
    fn note(&self, state: &mut State, user: Option<User>) {
        if !state.layers.is_empty() {
            if let Some(user) = user {
                state.user = Some(Arc::new(user));
            }
            self.is_dirty.store(true, Ordering::Release);
        }
    }
}

/// Reads a part that is in a journal, or has only zeros.
pub(in crate::fs) fn read_part(part: &Part, mut into: IoTarget<'_>) -> Result<()> {
    const NOTHING: [u8; 4096] = [0; 4096];
    match part {
        Part::Journal(journal, piece) => {
            journal.read_into(into, piece.record, piece.skip).map_err(|error| Errno::IO.because(error))
        }
        Part::Below | Part::Zeros => {
            let len = into.len();
            for at in (0..len).step_by(NOTHING.len()) {
                into.put(at, &NOTHING[..NOTHING.len().min(len - at)]);
            }
            Ok(())
        }
    }
}

impl Upload {
    /// Calls `with` with what was written, in the order of the file and as much at once as there is, up to `most`
    /// bytes.
    pub(super) fn each(&self, most: usize, mut with: impl FnMut(u64, &[u8]) -> Result<()>) -> Result<()> {
        let mut record: Option<(u64, Vec<u8>)> = None;
        let (mut start, mut bytes) = (0, Vec::new());
        for (at, piece) in self.overlay.pieces() {
            let data = match record.take() {
                Some((number, data)) if number == piece.record => data,
                _ => self.journal.data(piece.record).map_err(|error| Errno::IO.because(error))?,
            };
            let part = data.get(index(piece.skip)..index(piece.skip + piece.len));
            let mut part = part.ok_or(Error::IO)?;
            let mut at = at;
            while !part.is_empty() {
                if at != start + bytes.len() as u64 || bytes.len() >= most {
                    with(start, &bytes)?;
                    (start, bytes) = (at, Vec::new());
                }
                let count = part.len().min(most - bytes.len());
                bytes.extend_from_slice(&part[..count]);
                (part, at) = (&part[count..], at + count as u64);
            }
            record = Some((piece.record, data));
        }
        with(start, &bytes)
    }
}

#[cfg(test)]
mod tests {
    use lisafs::backend::StatxMask;

    use super::*;
    use crate::fs::inode::Inodes;

    #[test]
    fn a_new_file_is_none_that_is_gone_and_had_its_number() {
        let inodes = Arc::new(Inodes::default());
        let stat = Statx { mask: StatxMask::BASIC_STATS, ino: 7, mode: 0o100_644, ..Statx::default() };
        let is_found = |inode| Arc::ptr_eq(inode, &inodes.get(&stat));
        let first = inodes.get(&stat);
        assert!(is_found(&first));
        assert!(first.pending.try_drop(&first));
        assert!(!is_found(&first), "it is gone");
        let second = inodes.get(&stat);
        second.take();
        assert!(!second.pending.try_drop(&second));
        assert!(is_found(&second), "somebody can get at it");
        second.pending.is_dropped.store(true, Ordering::SeqCst);
        assert!(is_found(&second), "while that is found out");
    }
}
