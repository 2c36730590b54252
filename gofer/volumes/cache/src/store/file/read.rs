//! Reading, and fetching what is not there.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use lisafs::backend::{IoTarget, Result};

use super::{Body, CacheFile, Source, Want};
use crate::store::disk::{Disk, on_disk};
use crate::store::map::{Chunk, Map, block_of, checksum, chunks};
use crate::store::{BLOCK, CHUNK, index};

/// So many chunks are looked at to give a descriptor away.
const VERIFIED_AT_ONCE: usize = 256;

/// Chunks that the holder fetches; others who need them wait.
struct Claim<'a> {
    file: &'a CacheFile,
    chunks: Range<u64>,
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        let mut map = self.file.map.lock();
        for chunk in self.chunks.clone() {
            if map.get(chunk) == Chunk::Fetched {
                map.set(chunk, Chunk::Absent);
            }
        }
        drop(map);
        self.file.fetched.notify_all();
    }
}

/// What is to be done next for a reader.
enum Step {
    /// The bytes up to this one are there.
    Read(u64),
    /// The chunk may be there.
    Verify(u32),
    /// These are to be fetched.
    Fetch(Range<u64>),
}

impl CacheFile {
    /// Reads from byte `offset` on; what is missing comes from `source`.
    pub(crate) fn read(&self, mut into: IoTarget<'_>, offset: u64, source: &dyn Source, want: Want) -> Result<usize> {
        let mut body = self.gate.read();
        if body.version.is_some() && body.disk.is_none() && body.size > 0 && !into.is_empty() {
            drop(body);
            self.create(&mut self.gate.write());
            body = self.gate.read();
        }
        let Some(disk) = body.disk.as_ref().filter(|_| body.version.is_some() && body.size > 0) else {
            self.store.stats.bypassed.add(1);
            return source.read_at(into, offset);
        };
        let end = offset.saturating_add(into.len() as u64).min(body.size);
        let (mut at, mut has_missed) = (offset, false);
        while at < end {
            match self.next_step(&body, at, end, want) {
                Step::Read(to) => {
                    let part = into.part(index(at - offset), index(to - at));
                    if let Err(error) = self.read_there(disk, part, at, to, want) {
                        self.store.failed(&error);
                        let part = into.part(index(at - offset), index(end - at));
                        return Ok(index(at - offset) + source.read_at(part, at)?);
                    }
                    at = to;
                }
                Step::Verify(checksum) => self.verify(&body, disk, at / CHUNK, checksum),
                Step::Fetch(range) => {
                    has_missed = true;
                    let start = range.start * CHUNK;
                    let bytes = self.fetch(&body, disk, range, source)?;
                    let part = bytes.get(index(at - start)..).unwrap_or_default();
                    let part = &part[..part.len().min(index(end - at))];
                    into.put(index(at - offset), part);
                    if part.is_empty() {
                        // The file is shorter than it was.
                        break;
                    }
                    at += part.len() as u64;
                }
            }
        }
        let stats = &self.store.stats;
        if has_missed {
            stats.misses.add(1);
        } else {
            stats.hits.add(1);
        }
        Ok(index(at.saturating_sub(offset)))
    }

    /// Has somebody else fetch what is missing of `range`.
    pub(crate) fn ahead(self: &Arc<Self>, range: Range<u64>, source: &Arc<dyn Source>) {
        self.store.background.fetch(self, source, range);
    }

    /// Fetches what is missing of the bytes from `start` to `end`, which nobody waits for.
    pub(crate) fn fetch_ahead(&self, start: u64, end: u64, source: &dyn Source) {
        let body = self.gate.read();
        let (Some(_), Some(disk)) = (body.version, &body.disk) else { return };
        let mut range = chunks(start, end.min(body.size));
        while range.start < range.end {
            let missing = {
                let mut map = self.map.lock();
                if map.get(range.start) == Chunk::Absent {
                    Some(claim(&mut map, range.start, range.end))
                } else {
                    range.start = map.run(range.start, range.end, |chunk| chunk == Chunk::Absent);
                    None
                }
            };
            let Some(missing) = missing else { continue };
            range.start = missing.end;
            match self.fetch(&body, disk, missing, source) {
                Ok(bytes) => self.store.stats.ahead_bytes.add(bytes.len() as u64),
                // Who needs it will hear of it.
                Err(_) => return,
            }
        }
    }

    /// What is to be done for a reader who is at byte `at` and wants all up to `end`.
    fn next_step(&self, body: &Body, at: u64, end: u64, want: Want) -> Step {
        let chunk = at / CHUNK;
        let mut map = self.map.lock();
        loop {
            match map.get(chunk) {
                Chunk::Present(_) | Chunk::Changed => {
                    let is_there = |chunk| matches!(chunk, Chunk::Present(_) | Chunk::Changed);
                    let to = map.run(chunk, end.div_ceil(CHUNK), is_there);
                    return Step::Read((to * CHUNK).min(end));
                }
                Chunk::Unverified(checksum) => return Step::Verify(checksum),
                Chunk::Fetched => self.fetched.wait(&mut map),
                Chunk::Absent => {
                    let to = end.max(want.fetch_to).min(body.size).div_ceil(CHUNK);
                    return Step::Fetch(claim(&mut map, chunk, to));
                }
            }
        }
    }

    /// Reads bytes that are there.
    fn read_there(&self, disk: &Disk, into: IoTarget<'_>, start: u64, end: u64, want: Want) -> io::Result<()> {
        (start / BLOCK..end.div_ceil(BLOCK))
            .filter(|block| want.last_block != Some(*block))
            .for_each(|block| self.heat.add(block));
        let len = into.len();
        let count = disk.read_into(into, start)?;
        if count < len {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "a data file is too short"));
        }
        self.store.stats.hit_bytes.add(count as u64);
        Ok(())
    }

    /// Looks whether a chunk is what was written.
    fn verify(&self, body: &Body, disk: &Disk, chunk: u64, wanted: u32) {
        let start = chunk * CHUNK;
        let mut bytes = vec![0; index((body.size - start).min(CHUNK))];
        let read = disk.read(&mut bytes, start);
        let is_good = read.is_ok() && checksum(self.seed(), chunk, &bytes) == wanted;
        if !is_good {
            // Where there is some damage there is more.
            if self.store.stats.damaged.get() == 0 {
                let path = self.store.directory.path().display();
                tracing::warn!("the cache in {path} is damaged; what is damaged is fetched again");
            }
            self.store.stats.damaged.add(1);
        }
        let mut map = self.map.lock();
        if map.get(chunk) == Chunk::Unverified(wanted) {
            map.set(chunk, if is_good { Chunk::Present(wanted) } else { Chunk::Absent });
        }
    }

    /// Whether all chunks are there, and those that were not looked at are few and good.
    pub(super) fn is_whole(&self, body: &Body) -> bool {
        let all = 0..body.size.div_ceil(CHUNK);
        let unverified: Vec<(u64, u32)> = {
            let map = self.map.lock();
            if !all.clone().all(|chunk| matches!(map.get(chunk), Chunk::Present(_) | Chunk::Unverified(_))) {
                return false;
            }
            let checksum = |(chunk, state)| match state {
                Chunk::Unverified(checksum) => Some((chunk, checksum)),
                _ => None,
            };
            map.there().filter_map(checksum).take(VERIFIED_AT_ONCE + 1).collect()
        };
        let Some(disk) = &body.disk else { return false };
        if unverified.len() > VERIFIED_AT_ONCE {
            return false;
        }
        unverified.iter().for_each(|(chunk, checksum)| self.verify(body, disk, *chunk, *checksum));
        let map = self.map.lock();
        unverified.iter().all(|(chunk, _)| map.get(*chunk).is_there())
    }

    /// Fetches chunks that are claimed, and keeps them if there is room. Says what there is of them, which is less if
    /// the file has become shorter.
    pub(super) fn fetch(&self, body: &Body, disk: &Disk, range: Range<u64>, source: &dyn Source) -> Result<Vec<u8>> {
        let claim = Claim { file: self, chunks: range.clone() };
        let start = range.start * CHUNK;
        let mut bytes = vec![0; index((range.end * CHUNK).min(body.size) - start)];
        let mut done = 0;
        while done < bytes.len() {
            match source.read_at(IoTarget::from(&mut bytes[done..]), start + done as u64)? {
                0 => break,
                count => done += count,
            }
        }
        self.store.stats.fetched_bytes.add(done as u64);
        if done < bytes.len() {
            bytes.truncate(done);
            return Ok(bytes);
        }
        let room = range.clone().map(|chunk| on_disk(self.len_of(body.size, chunk))).sum();
        if self.store.reserve(room) {
            let checksums: Vec<u32> = (range.start..)
                .zip(bytes.chunks(index(CHUNK)))
                .map(|(chunk, bytes)| checksum(self.seed(), chunk, bytes))
                .collect();
            let is_clean = !body.is_changed;
            let stored = disk.write(&bytes, start).and_then(|()| {
                // While the file is being changed nobody believes what is in its map.
                if is_clean { disk.put_checksums(range.start, &checksums) } else { Ok(()) }
            });
            match stored {
                Ok(()) => self.publish(body.size, &range, &checksums),
                Err(error) => {
                    self.store.release(room);
                    self.store.failed(&error);
                }
            }
        }
        drop(claim);
        Ok(bytes)
    }

    /// Bytes of a chunk of a file of `size` bytes.
    pub(super) fn len_of(&self, size: u64, chunk: u64) -> u64 {
        size.saturating_sub(chunk * CHUNK).min(CHUNK)
    }

    /// What was fetched is there.
    fn publish(&self, size: u64, range: &Range<u64>, checksums: &[u32]) {
        // Of one block, as a rule.
        let bytes = |chunk| on_disk(self.len_of(size, chunk));
        for block in block_of(range.start)..=block_of(range.end - 1) {
            let chunks = range.clone().filter(|chunk| block_of(*chunk) == block);
            self.store.commit(self.key, block, chunks.map(bytes).sum());
        }
        let mut map = self.map.lock();
        for (chunk, checksum) in range.clone().zip(checksums) {
            map.set(chunk, Chunk::Present(*checksum));
        }
    }
}

/// Claims the chunks from `first` on that are not there, up to `end` and as many as are fetched at once.
fn claim(map: &mut Map, first: u64, end: u64) -> Range<u64> {
    let most = end.min(first + BLOCK / CHUNK);
    let range = first..map.run(first, most, |chunk| chunk == Chunk::Absent);
    range.clone().for_each(|chunk| map.set(chunk, Chunk::Fetched));
    range
}
