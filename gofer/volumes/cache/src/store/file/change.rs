//! Changes of a file that are made here, and so are made to its data, too.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use lisafs::backend::{Errno, Error, IoSource, Result};

use super::{Body, CacheFile, Source, incomplete, now};
use crate::store::disk::on_disk;
use crate::store::header::Version;
use crate::store::map::{Chunk, Map, block_of, checksum, chunks};
use crate::store::{BLOCK, CHUNK, index};

/// A change that is being made, which is counted when it begins and when it ends: attributes that were asked for in
/// between may be those from before. Declared after the gate is taken, and so dropped before the gate is free.
#[must_use = "a change ends when this is dropped"]
struct Changing<'a>(&'a AtomicU64);

impl<'a> Changing<'a> {
    fn new(changes: &'a AtomicU64) -> Self {
        changes.fetch_add(1, Ordering::Release);
        Changing(changes)
    }
}

impl Drop for Changing<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Release);
    }
}

/// Checksums of so many chunks are made anew at most; the others are fetched again.
const MOST_CHANGED: usize = 4096;

impl CacheFile {
    /// Makes a change that `make` makes to the backend's file, where others may change it, too: nothing is kept then,
    /// since nobody could tell whose change a new version is.
    pub(crate) fn pass<T>(&self, make: impl FnOnce() -> Result<T>) -> Result<T> {
        loop {
            let body = self.gate.read();
            if body.is_loaded && body.version.is_none() {
                let _changing = Changing::new(&self.changes);
                return make();
            }
            drop(body);
            self.invalidate();
        }
    }

    /// Writes `from` at byte `offset`: `put` writes to the backend's file, which nobody else changes, and says how many
    /// bytes it took.
    pub(crate) fn write(
        &self,
        from: IoSource<'_>,
        offset: u64,
        put: impl Fn(IoSource<'_>) -> Result<usize>,
    ) -> Result<usize> {
        {
            let body = self.gate.read();
            if body.is_loaded && body.version.is_none() {
                let _changing = Changing::new(&self.changes);
                return put(from);
            }
        }
        let mut body = self.gate.write();
        self.load(&mut body);
        let _changing = self.begin(&mut body);
        if !self.create(&mut body) {
            let count = put(from).map_err(|error| self.unsure(&mut body, error))?;
            body.size = body.size.max(offset.saturating_add(count as u64));
            return Ok(count);
        }
        // What the client changes meanwhile must not make a difference between the two.
        let bytes = from.to_vec();
        let count = put(IoSource::from(&bytes[..])).map_err(|error| self.unsure(&mut body, error))?;
        let written = self.apply(&mut body, &bytes[..count], offset);
        self.keep(&mut body, written);
        Ok(count)
    }

    /// Sets the size, which `set` does to the backend's file.
    pub(crate) fn resize(&self, size: u64, set: impl FnOnce() -> Result<()>) -> Result<()> {
        let mut body = self.gate.write();
        self.load(&mut body);
        let _changing = self.begin(&mut body);
        set().map_err(|error| self.unsure(&mut body, error))?;
        let resized = self.apply_size(&mut body, size);
        self.keep(&mut body, resized);
        Ok(())
    }

    /// Makes the file grow to `size` bytes at least, if `extend` succeeds in that.
    pub(crate) fn extend(&self, size: u64, extend: impl FnOnce() -> Result<()>) -> Result<()> {
        let mut body = self.gate.write();
        self.load(&mut body);
        let _changing = self.begin(&mut body);
        extend().map_err(|error| self.unsure(&mut body, error))?;
        let size = size.max(body.size);
        let resized = self.apply_size(&mut body, size);
        self.keep(&mut body, resized);
        Ok(())
    }

    /// Makes a change of which only the new size can be told, and that only afterwards.
    pub(crate) fn rewrite(&self, make: impl FnOnce() -> Result<()>, size: impl FnOnce() -> Result<u64>) -> Result<()> {
        let mut body = self.gate.write();
        self.load(&mut body);
        let _changing = self.begin(&mut body);
        let made = make();
        self.clear(&mut body);
        match size() {
            Ok(size) => body.size = size,
            Err(_) => self.forget(&mut body),
        }
        made
    }

    /// From now on the map file is not believed.
    fn begin(&self, body: &mut Body) -> Changing<'_> {
        let changing = Changing::new(&self.changes);
        if body.is_changed || body.version.is_none() {
            return changing;
        }
        body.is_changed = true;
        if let (Some(disk), Some(header)) = (&body.disk, body.header(self.key))
            && let Err(error) = disk.put_header(&header)
        {
            self.store.failed(&error);
            self.clear(body);
        }
        changing
    }

    /// A change has failed that may have been made in part, of which the size can be one: what there is, only the
    /// backend knows.
    fn unsure(&self, body: &mut Body, error: Error) -> Error {
        if error != Errno::OPNOTSUPP {
            self.forget(body);
        }
        error
    }

    /// What cannot be kept is given up.
    fn keep(&self, body: &mut Body, result: io::Result<()>) {
        if let Err(error) = result {
            self.store.failed(&error);
            self.clear(body);
        }
    }

    fn apply(&self, body: &mut Body, bytes: &[u8], offset: u64) -> io::Result<()> {
        let (old, end) = (body.size, offset + bytes.len() as u64);
        if end > old {
            self.apply_size(body, end)?;
        }
        for chunk in chunks(offset, end) {
            let (start, stop) = (chunk * CHUNK, ((chunk + 1) * CHUNK).min(body.size));
            let is_there = self.map.lock().get(chunk).is_there();
            // What is not written is behind the old end, and so zeros.
            let is_all = (offset <= start || start >= old) && (end >= stop || end >= old);
            let is_kept = is_there || is_all && self.admit(chunk, stop - start);
            if !is_kept {
                continue;
            }
            let Some(disk) = &body.disk else { return Ok(()) };
            let from = offset.max(start);
            let part = &bytes[index(from - offset)..index(end.min(stop) - offset)];
            disk.write(part, from)?;
            let state = if from == start && part.len() as u64 == CHUNK {
                Chunk::Present(checksum(self.seed(), chunk, part))
            } else if end >= start + CHUNK {
                // Who appends does not come back.
                let mut whole = vec![0; index(CHUNK)];
                disk.read(&mut whole, start)?;
                Chunk::Present(checksum(self.seed(), chunk, &whole))
            } else {
                Chunk::Changed
            };
            self.map.lock().set(chunk, state);
        }
        Ok(())
    }

    /// Makes room for a chunk of `len` bytes.
    fn admit(&self, chunk: u64, len: u64) -> bool {
        let is_room = self.store.reserve(on_disk(len));
        if is_room {
            self.store.commit(self.key, block_of(chunk), on_disk(len));
        }
        is_room
    }

    fn apply_size(&self, body: &mut Body, size: u64) -> io::Result<()> {
        let old = std::mem::replace(&mut body.size, size);
        let Some(disk) = &body.disk else { return Ok(()) };
        if size < old {
            let gone = size.div_ceil(CHUNK)..old.div_ceil(CHUNK);
            let mut map = self.map.lock();
            let gone: Vec<u64> = map.there().map(|(chunk, _)| chunk).filter(|chunk| gone.contains(chunk)).collect();
            gone.iter().for_each(|chunk| map.set(*chunk, Chunk::Absent));
            drop(map);
            let mut blocks: Vec<u64> = gone.into_iter().map(block_of).collect();
            blocks.dedup();
            blocks.retain(|block| block * BLOCK >= size);
            self.store.remove_all(self.key, blocks);
        }
        disk.set_len(size)?;
        // The chunk at the smaller of the two ends is shorter or longer now.
        let last = size.min(old);
        if !last.is_multiple_of(CHUNK) && size != old {
            let chunk = last / CHUNK;
            let (before, after) = (self.len_of(old, chunk), self.len_of(size, chunk));
            let more = on_disk(after).saturating_sub(on_disk(before));
            let is_there = self.map.lock().get(chunk).is_there();
            if is_there {
                let fits = more == 0 || self.admit(chunk, more);
                self.map.lock().set(chunk, if fits { Chunk::Changed } else { Chunk::Absent });
            }
        }
        Ok(())
    }

    /// The file has `version` now, and the data is of it.
    pub(super) fn adopt(&self, body: &mut Body, version: Version) {
        if body.size != version.size {
            // Somebody else has changed it after all.
            self.clear(body);
        }
        (body.version, body.size, body.is_changed, body.since) = (Some(version), version.size, false, now());
        let stored = self.store_map(body);
        self.keep(body, stored);
    }

    /// Writes the map of a file that was changed.
    fn store_map(&self, body: &Body) -> io::Result<()> {
        let (Some(disk), Some(header)) = (&body.disk, body.header(self.key)) else { return Ok(()) };
        let is_changed = |(chunk, state)| (state == Chunk::Changed).then_some(chunk);
        let changed: Vec<u64> = self.map.lock().there().filter_map(is_changed).collect();
        for (count, chunk) in changed.into_iter().enumerate() {
            let state = if count < MOST_CHANGED {
                let mut bytes = vec![0; index(self.len_of(body.size, chunk))];
                disk.read(&mut bytes, chunk * CHUNK)?;
                Chunk::Present(checksum(self.seed(), chunk, &bytes))
            } else {
                Chunk::Absent
            };
            self.map.lock().set(chunk, state);
        }
        let checksums: Vec<u32> = {
            let map = self.map.lock();
            (0..body.size.div_ceil(CHUNK).min(map.len())).map(|chunk| map.get(chunk).stored()).collect()
        };
        disk.clear_checksums()?;
        disk.put_checksums(0, &checksums)?;
        disk.put_header(&header)
    }

    /// Begins to bring a file up to date that is open by donated descriptors: it stays the same file of the disk.
    pub(super) fn begin_refresh(&self, body: &mut Body, version: Version, inode: u64) {
        let _changing = self.begin(body);
        let blocks: Vec<u64> = (0..body.size.max(version.size).div_ceil(BLOCK)).collect();
        *self.map.lock() = Map::default();
        self.store.remove_all(self.key, blocks);
        let resized = body.disk.as_ref().map_or(Ok(()), |disk| disk.set_len(version.size));
        (body.version, body.size, body.validated) = (Some(version), version.size, Some(inode));
        self.keep(body, resized);
    }

    /// Fetches all of the file.
    pub(super) fn refresh(&self, source: &dyn Source) -> Result<()> {
        let size = self.gate.read().size;
        self.fetch_ahead(0, size, source);
        let mut body = self.gate.write();
        let is_all = (0..size.div_ceil(CHUNK)).all(|chunk| self.map.lock().get(chunk).is_there());
        let Some(version) = body.version.filter(|version| is_all && version.size == body.size) else {
            self.forget(&mut body);
            return Err(incomplete());
        };
        self.adopt(&mut body, version);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use lisafs::backend::{IoTarget, Statx, StatxMask, StatxTimestamp};

    use super::*;
    use crate::store::{Key, Limits, Store};

    /// Nothing is read from it.
    struct Nothing;

    impl Source for Nothing {
        fn read_at(&self, _: IoTarget<'_>, _: u64) -> Result<usize> {
            Err(incomplete())
        }
    }

    fn store(path: &Path) -> Arc<Store> {
        let store = Store::open(path, Limits::new(1 << 30, None)).unwrap();
        store.make_volume(1, "mem:").unwrap();
        store
    }

    fn stat(size: u64) -> Statx {
        let time = StatxTimestamp::new(i64::try_from(size).unwrap(), 0);
        Statx { mask: StatxMask::BASIC_STATS, size, mtime: time, ctime: time, ..Statx::default() }
    }

    /// A file of 4 bytes, which inode 1 has open in exclusive mode, and which `change` is made to; attributes are asked
    /// for before, while and after it is. Says how long the cache takes the file to be in each case.
    fn sizes(change: impl Fn(&CacheFile, &dyn Fn())) -> [Option<u64>; 3] {
        let (before, after) = (stat(4), stat(9));
        [0, 1, 2].map(|moment| {
            let directory = tempfile::tempdir().unwrap();
            let store = store(directory.path());
            let file: Arc<CacheFile> = store.file(Key { volume: 1, device: (2, 3), ino: 4 });
            file.validate(1, &before, file.changes(), true, &Nothing).unwrap();
            assert_eq!(file.write((&b"four"[..]).into(), 0, |from| Ok(from.len())), Ok(4));
            file.validate(1, &before, file.changes(), true, &Nothing).unwrap();
            let asked = std::cell::Cell::new(file.changes());
            change(&file, &|| asked.set(if moment == 1 { file.changes() } else { asked.get() }));
            let answer = if moment == 2 { (file.changes(), after) } else { (asked.get(), before) };
            file.validate(1, &answer.1, answer.0, true, &Nothing).unwrap();
            file.size()
        })
    }

    #[test]
    fn attributes_from_before_a_change_do_not_undo_it() {
        let grown = [Some(9); 3];
        let write = |file: &CacheFile, during: &dyn Fn()| {
            let put = |from: IoSource<'_>| {
                during();
                Ok(from.len())
            };
            assert_eq!(file.write((&b"fives"[..]).into(), 4, put), Ok(5));
        };
        assert_eq!(sizes(write), grown);
        let set = |during: &dyn Fn()| {
            during();
            Ok(())
        };
        assert_eq!(sizes(|file, during| file.resize(9, || set(during)).unwrap()), grown);
        assert_eq!(sizes(|file, during| file.extend(9, || set(during)).unwrap()), grown);
        assert_eq!(sizes(|file, during| file.rewrite(|| set(during), || Ok(9)).unwrap()), grown);
    }

    #[test]
    fn what_a_failed_change_has_left_only_the_backend_knows() {
        type Make<'a> = &'a dyn Fn(&CacheFile) -> Result<()>;
        let full = || Err(Errno::NOSPC.into());
        let changes: [Make<'_>; 3] = [
            &|file| file.write((&b"fives"[..]).into(), 4, |_| full().map(|()| 0)).map(drop),
            &|file| file.resize(9, full),
            &|file| file.extend(9, full),
        ];
        for change in changes {
            let directory = tempfile::tempdir().unwrap();
            let store = store(directory.path());
            let file: Arc<CacheFile> = store.file(Key { volume: 1, device: (2, 3), ino: 4 });
            file.validate(1, &stat(4), file.changes(), true, &Nothing).unwrap();
            assert_eq!(file.write((&b"four"[..]).into(), 0, |from| Ok(from.len())), Ok(4));
            assert_eq!(change(&file).map_err(|error| error.errno()), Err(Errno::NOSPC));
            assert_eq!(file.size(), None);
        }
    }

    #[test]
    fn a_file_that_is_dropped_takes_nothing_from_the_next_one() {
        const OTHERS: u64 = 1 << 20;
        let directory = tempfile::tempdir().unwrap();
        let store = store(directory.path());
        let key = Key { volume: 1, device: (2, 3), ino: 4 };
        store.claim(OTHERS);
        let bytes = store.bytes();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..20_000 {
                        let file = store.file(key);
                        file.validate(1, &stat(4), file.changes(), true, &Nothing).unwrap();
                        file.write((&b"four"[..]).into(), 0, |from| Ok(from.len())).unwrap();
                    }
                });
            }
        });
        store.file(key).invalidate();
        assert_eq!(store.bytes(), bytes);
    }
}
