//! Open files.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use lisafs::backend::{
    Access, AllocateFlags, Error, IoSource, IoTarget, OpenFile, OpenHow, Opened, Result, SeekTo, Statx,
};
use parking_lot::Mutex;

use super::Volume;
use super::back::{Part, User, read_part};
use super::node::{Node, Taken};
use super::pattern::Pattern;
use super::reader::Reader;
use crate::store::{CacheFile, Key, Pin, Source, index};

/// An open regular file.
pub(super) struct CachedFile {
    volume: Arc<Volume>,
    node: Taken,
    reader: Arc<Reader>,
    file: Arc<CacheFile>,
    /// Whether what is read is kept.
    keeps: bool,
    pattern: Mutex<Pattern>,
    touched: OnceLock<()>,
    has_changed: AtomicBool,
    _pin: Option<Pin>,
}

impl Volume {
    /// Where the data of the file at `node` is.
    pub(super) fn key(&self, node: &Node) -> Key {
        let (major, minor, ino) = node.inode.identity;
        Key { volume: self.id, device: (major, minor), ino }
    }

    /// Opens a regular file.
    pub(super) fn open_file(self: &Arc<Self>, node: &Arc<Node>, how: OpenHow) -> Result<Opened> {
        let (file, node) = (self.file(self.key(node)), Taken::new(node.clone()));
        if how.access.writes() || how.truncate {
            self.check_name(&node)?;
        }
        let emptied = self.empty_unsaved(&node, how)?;
        let how = how.truncate(how.truncate && emptied.is_none());
        let back = self.back.as_ref().filter(|_| how.truncate);
        let _hold = back.map(|back| back.settle(&node.inode)).transpose()?;
        let reader = emptied.unwrap_or_else(|| Reader::new(self.clone(), node.clone(), how));
        let reader = Arc::new(reader);
        if how.truncate {
            let _change = node.inode.change();
            let truncate = || reader.opened().map(drop);
            if self.is_exclusive() {
                file.resize(0, truncate)?;
            } else {
                file.pass(truncate)?;
            }
            node.inode.pending.pass();
        } else if how.access.writes() {
            reader.opened()?;
        }
        // Where others write, too, what a file becomes by our writing is not known.
        let keeps = how.access.reads() && (self.is_exclusive() || !how.access.writes());
        if keeps || self.is_exclusive() {
            let changes = file.changes();
            let stat = self.stat_to_open(&node)?;
            file.validate(node.inode.number, &stat, changes, self.is_exclusive(), &*reader)?;
        }
        if reader.get().is_none() {
            node.inode.add_reader(&reader);
        }
        let donated = if keeps && self.is_read_only && self.options.donate { file.donate() } else { None };
        let (fd, pin) = donated.unzip();
        let (pattern, touched, has_changed) = (Mutex::default(), OnceLock::new(), AtomicBool::new(how.truncate));
        let volume = self.clone();
        let opened = CachedFile { volume, node, reader, file, keeps, pattern, touched, has_changed, _pin: pin };
        Ok(Opened::new(opened).donating(fd))
    }

    /// Opens a file that has changes which are not uploaded, and empties it by one more; `None` if that cannot be, or
    /// need not.
    fn empty_unsaved(self: &Arc<Self>, node: &Arc<Node>, how: OpenHow) -> Result<Option<Reader>> {
        let Some(back) = self.back.as_ref().filter(|_| node.inode.pending.is_dirty()) else { return Ok(None) };
        // Whoever only reads may open what he may not empty.
        if !how.truncate || !how.access.writes() {
            return Ok(None);
        }
        let reader = Reader::new(self.clone(), node.clone(), how.truncate(false));
        // First: where that is refused, the file stays as it is.
        reader.opened()?;
        Ok(back.resize(&node.inode, 0).then_some(reader))
    }

    /// A file that was just made and opened.
    pub(super) fn created_file(self: &Arc<Self>, node: &Arc<Node>, opened: Opened, how: OpenHow) -> Opened {
        let file = self.file(self.key(node));
        let reader = Reader::with(self.clone(), node.clone(), how, opened.file);
        let keeps = how.access.reads() && self.is_exclusive();
        if self.is_exclusive() {
            let changes = file.changes();
            // There may be data of a file that had the same number before.
            match node.inode.stat(self, || reader.opened()?.stat()) {
                // There is nothing yet, and so nothing to bring up to date.
                Ok(stat) => drop(file.validate(node.inode.number, &stat, changes, true, &reader)),
                Err(_) => file.invalidate(),
            }
        }
        let (pattern, touched, has_changed) = (Mutex::default(), OnceLock::new(), AtomicBool::default());
        let (volume, node, reader) = (self.clone(), Taken::new(node.clone()), Arc::new(reader));
        Opened::new(CachedFile { volume, node, reader, file, keeps, pattern, touched, has_changed, _pin: None })
    }
}

impl CachedFile {
    /// What uploads what is written here.
    fn user(&self) -> User {
        let (volume, node) = (self.volume.clone(), self.node.clone());
        User { volume, node, reader: self.reader.clone(), file: self.file.clone() }
    }

    /// Reads what the cache or the backend have, without what is not uploaded yet.
    fn read_below(&self, into: IoTarget<'_>, offset: u64) -> Result<usize> {
        if !self.keeps || self.has_grown(offset) {
            self.volume.store.stats.bypassed.add(1);
            return self.reader.read_at(into, offset);
        }
        let size = self.file.size().unwrap_or(0);
        let (want, ahead) = self.pattern.lock().read(offset, into.len() as u64, size);
        if !ahead.is_empty() {
            let source: Arc<dyn Source> = self.reader.clone();
            self.file.ahead(ahead, &source);
        }
        self.file.read(into, offset, &*self.reader, want)
    }

    fn change<T>(&self, make: impl FnOnce() -> Result<T>) -> Result<T> {
        let _change = self.node.inode.change();
        let made = make();
        self.node.inode.pending.pass();
        self.has_changed.store(true, Ordering::Relaxed);
        made
    }

    /// Where a read at `offset` gets its data if that is behind the end as it was when the file was opened: others may
    /// have appended.
    fn has_grown(&self, offset: u64) -> bool {
        let ask = || self.reader.opened()?.stat();
        !self.volume.is_exclusive()
            && self.file.size().is_some_and(|size| {
                offset >= size && self.node.inode.stat(&self.volume, ask).map_or(true, |stat| stat.size > size)
            })
    }

    /// Reading what is in the cache moves the time of access as reading the backend's file would: where that is due, the
    /// backend is asked for a byte.
    fn touch(&self) {
        let inode = &self.node.inode;
        let is_not_moved = self.reader.leaves_atime() || self.volume.is_read_only;
        if is_not_moved || inode.keeps_atime.load(Ordering::Relaxed) {
            return;
        }
        let Some(stat) = inode.known_stat(&self.volume) else { return };
        if !is_due(&stat) {
            return;
        }
        let Ok(opened) = self.reader.opened() else { return };
        let change = inode.change();
        let read = opened.read_at(IoTarget::from(&mut [0][..]), 0);
        drop(change);
        let now = read.and_then(|_| inode.stat(&self.volume, || opened.stat()));
        if now.is_ok_and(|now| now.atime == stat.atime) {
            inode.keeps_atime.store(true, Ordering::Relaxed);
        }
    }
}

/// Whether a read moves the time of access, as file systems do it by default.
fn is_due(stat: &Statx) -> bool {
    const DAY: i64 = 24 * 60 * 60;
    let time = |time: lisafs::backend::StatxTimestamp| (time.sec, time.nsec);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    let atime = time(stat.atime);
    stat.mask.contains(lisafs::backend::StatxMask::ATIME)
        && (atime <= time(stat.mtime) || atime <= time(stat.ctime) || now.saturating_sub(stat.atime.sec) >= DAY)
}

/// Finds out by what `ask` says which version of the file it is whose data the cache has, after changes that were made
/// here. Without that, the data is dropped when it is needed next.
pub(super) fn learn_version(
    node: &Node,
    file: &CacheFile,
    source: &dyn Source,
    ask: impl FnOnce() -> Result<Statx>,
) -> Result<()> {
    let (asked, changes) = (node.inode.now(), file.changes());
    let Ok(stat) = ask() else { return Ok(()) };
    node.inode.keep_stat(asked, &stat);
    // Nobody will open it again.
    if stat.nlink == 0 { Ok(()) } else { file.validate(node.inode.number, &stat, changes, true, source) }
}

impl Drop for CachedFile {
    fn drop(&mut self) {
        let is_to_be_uploaded = self.node.inode.pending.is_dirty();
        if self.has_changed.load(Ordering::Relaxed) && self.volume.is_exclusive() && !is_to_be_uploaded {
            let User { volume, node, file, .. } = self.user();
            self.volume.store.background.after_close(move || {
                let reader = Reader::new(volume, node.clone(), OpenHow::new(Access::Read));
                // It may have been changed again, by whoever finds out after that.
                let _ = learn_version(&node, &file, &reader, || node.inner.stat());
            });
        }
    }
}

impl OpenFile for CachedFile {
    fn stat(&self) -> Result<Statx> {
        let (inner, inode) = (self.reader.get(), &self.node.inode);
        let ask = || inner.map_or_else(|| self.node.inner.stat(), |inner| inner.stat());
        self.volume.seen(inode, || inode.stat(&self.volume, ask))
    }

    fn read_at(&self, mut into: IoTarget<'_>, offset: u64) -> Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        let end = offset.saturating_add(into.len() as u64);
        let Some(parts) = self.node.inode.pending.parts(offset..end) else {
            self.touched.get_or_init(|| self.touch());
            return self.read_below(into, offset);
        };
        let mut done = 0;
        for (range, part) in parts {
            let len = index(range.end - range.start);
            if !matches!(part, Part::Below) {
                read_part(&part, into.part(done, len))?;
                done += len;
                continue;
            }
            let part_end = done + len;
            while done < part_end {
                match self.read_below(into.part(done, part_end - done), offset + done as u64)? {
                    0 => return Ok(done),
                    count => done += count,
                }
            }
        }
        Ok(done)
    }

    fn write_at(&self, from: IoSource<'_>, offset: u64) -> Result<usize> {
        let inode = &self.node.inode;
        let _hold = match &self.volume.back {
            None => None,
            Some(back) => {
                if let Some(count) = back.write(inode, || self.user(), &from, offset)? {
                    return Ok(count);
                }
                Some(back.settle(inode)?)
            }
        };
        let inner = self.reader.opened()?;
        self.change(|| {
            if self.volume.is_exclusive() {
                self.file.write(from, offset, |from| inner.write_at(from, offset))
            } else {
                self.file.pass(|| inner.write_at(from, offset))
            }
        })
    }

    fn sync(&self) -> Result<()> {
        let inode = &self.node.inode;
        if let Some(back) = self.volume.back.as_ref().filter(|_| inode.pending.is_dirty()) {
            if back.syncs_locally {
                inode.pending.sync_locally(back)?;
                if !inode.pending.has_passed() {
                    return Ok(());
                }
            } else if back.flush(inode)? {
                return Ok(());
            }
        }
        inode.pending.sync_passed(|| self.reader.opened()?.sync())
    }

    fn allocate(&self, flags: AllocateFlags, offset: u64, length: u64) -> Result<()> {
        let _hold = self.volume.back.as_ref().map(|back| back.settle(&self.node.inode)).transpose()?;
        let inner = self.reader.opened()?;
        let end = offset.checked_add(length).ok_or(Error::FBIG)?;
        self.change(|| {
            let allocate = || inner.allocate(flags, offset, length);
            if !self.volume.is_exclusive() {
                self.file.pass(allocate)
            } else if flags == AllocateFlags::KEEP_SIZE {
                allocate()
            } else if flags.is_empty() {
                self.file.extend(end, allocate)
            } else {
                self.file.rewrite(allocate, || inner.stat().map(|stat| stat.size))
            }
        })
    }

    fn seek(&self, offset: u64, what: SeekTo) -> Result<u64> {
        // Where there are holes, the backend knows.
        let _hold = self.volume.back.as_ref().map(|back| back.settle(&self.node.inode)).transpose()?;
        self.reader.opened()?.seek(offset, what)
    }

    fn flush(&self) -> Result<()> {
        let pending = &self.node.inode.pending;
        pending.take_error()?;
        if self.volume.back.is_none() {
            return self.reader.opened()?.flush();
        }
        match self.reader.get().filter(|_| !pending.is_dirty()).map(|inner| inner.flush()) {
            Some(Err(error)) if error != Error::OPNOTSUPP => Err(error),
            _ => Ok(()),
        }
    }

    fn read_dir(&self, _: u64, _: &mut dyn lisafs::backend::DirSink) -> Result<()> {
        Err(Error::NOTDIR)
    }
}
