//! File data: reading, writing, cutting, punching holes.

use std::ops::Range;
use std::sync::Arc;

use parking_lot::{MutexGuard, RwLockReadGuard};

use crate::node::{Data, Dirty, Node, State};
use crate::record::{CHUNK_BLOCKS, Chunk, Place, Stored, decode};
use crate::volume::{Volume, now};
use crate::{Errno, IoSource, IoTarget, key};

/// The largest size of a file.
pub(crate) const MAX_SIZE: u64 = i64::MAX as u64;

/// A part of a read: so many bytes from here.
enum Part {
    Zeros,
    Here(Data, usize),
    Stored(Stored, usize),
}

/// What a change of a file needs to know before it can be made.
enum Need {
    Chunk(u64),
    Block(Stored),
}

/// What was fetched because a change needed it.
#[derive(Default)]
struct Fetched {
    block: Option<(Stored, Data)>,
    chunk: Option<(u64, Arc<Chunk>, u64)>,
}

/// A file that may be changed, with the barrier that keeps commits away.
struct Change<'a> {
    volume: &'a Volume,
    state: MutexGuard<'a, State>,
    _barrier: RwLockReadGuard<'a, ()>,
}

impl Volume {
    /// Reads from byte `offset` on until `into` is full or the file ends.
    pub(crate) fn read(&self, node: &Node, mut into: IoTarget<'_>, offset: u64) -> Result<usize, Errno> {
        let (length, parts, fetched) = loop {
            let (length, parts) = match self.plan(node, into.len(), offset) {
                Ok(plan) => plan,
                Err(chunk) => {
                    drop(self.chunk(node, chunk)?);
                    continue;
                }
            };
            let is_stored =
                |(part, _): &(Part, usize)| if let Part::Stored(stored, _) = part { Some(*stored) } else { None };
            let stored: Vec<Stored> = parts.iter().filter_map(is_stored).collect();
            match if stored.is_empty() { Ok(Vec::new()) } else { self.fetch(&stored) } {
                Ok(fetched) => break (length, parts, fetched),
                // Where it was, nobody needs it any more.
                Err(error) => {
                    if !self.wait(self.has_moved_on(node))? {
                        return Err(error);
                    }
                }
            }
        };
        let mut fetched = fetched.into_iter();
        let mut at = 0;
        for (part, count) in parts {
            let (data, start) = match part {
                Part::Zeros => (None, 0),
                Part::Here(data, start) => (Some(data), start),
                Part::Stored(_, start) => (fetched.next(), start),
            };
            // What a block has not, is zeros.
            let bytes = data.as_deref().and_then(|data| data.get(start..)).unwrap_or_default();
            let there = bytes.len().min(count);
            into.put(at, &bytes[..there]);
            put_zeros(&mut into, at + there, count - there);
            at += count;
        }
        Ok(length)
    }

    /// Where the bytes of a read are, or a chunk that must be known for that.
    fn plan(&self, node: &Node, len: usize, offset: u64) -> Result<(usize, Vec<(Part, usize)>), u64> {
        let state = node.lock();
        let end = offset.saturating_add(len as u64).min(state.inode.size);
        let mut parts = Vec::new();
        let mut at = offset;
        while at < end {
            let (block, start) = self.split(at);
            let count = (self.block() - start).min(end - at);
            let (start, bytes) = (to_usize(start), to_usize(count));
            let part = match state.dirty.get(&block) {
                Some(Dirty { data: Some(data) }) => Part::Here(data.clone(), start),
                Some(Dirty { data: None }) => Part::Zeros,
                None if block >= state.limit() => Part::Zeros,
                None => {
                    let number = block / CHUNK_BLOCKS;
                    let chunk = state.chunk(number).ok_or(number)?;
                    match chunk.get(to_usize(block % CHUNK_BLOCKS)) {
                        Place::Hole => Part::Zeros,
                        Place::Inline(data) => Part::Here(Arc::new(data.clone()), start),
                        Place::Stored(stored) => Part::Stored(*stored, start),
                    }
                }
            };
            parts.push((part, bytes));
            at += count;
        }
        Ok((to_usize(end.saturating_sub(offset)), parts))
    }

    /// Writes at byte `offset`, and says how many bytes, which is all.
    pub(crate) fn write(&self, node: &Arc<Node>, from: IoSource<'_>, offset: u64) -> Result<usize, Errno> {
        let length = from.len();
        if length == 0 {
            return Ok(0);
        }
        let end = offset.checked_add(length as u64).filter(|end| *end <= MAX_SIZE).ok_or(Errno::FBIG)?;
        self.throttle()?;
        let mut at = offset;
        let mut fetched = Fetched::default();
        while at < end {
            let mut change = self.change(node)?;
            let need = loop {
                if at == end {
                    break None;
                }
                let (block, start) = self.split(at);
                let count = to_usize((self.block() - start).min(end - at));
                let part = from.part(to_usize(at - offset), count);
                if let Err(need) = change.write(block, to_usize(start), part, &mut fetched) {
                    break Some(need);
                }
                at += count as u64;
                change.state.inode.size = change.state.inode.size.max(at);
            };
            change.modified();
            drop(change);
            self.changed(node);
            if let Some(need) = need {
                self.satisfy(node, &need, &mut fetched)?;
            }
        }
        Ok(length)
    }

    /// Makes the file `size` bytes long.
    pub(crate) fn set_size(&self, node: &Arc<Node>, size: u64) -> Result<(), Errno> {
        if size > MAX_SIZE {
            return Err(Errno::FBIG);
        }
        self.throttle()?;
        let mut fetched = Fetched::default();
        loop {
            // Where committed blocks are that go.
            let (then, committed) = self.committed_from(node, size)?;
            let mut change = self.change(node)?;
            if change.state.forgotten != then {
                continue;
            }
            match change.cut(size, &committed, &mut fetched) {
                Ok(()) => {
                    change.state.inode.size = size;
                    change.modified();
                    drop(change);
                    self.changed(node);
                    return Ok(());
                }
                Err(need) => {
                    drop(change);
                    self.satisfy(node, &need, &mut fetched)?;
                }
            }
        }
    }

    /// Makes zeros of a part of the file, which then takes no space.
    pub(crate) fn punch(&self, node: &Arc<Node>, range: Range<u64>) -> Result<(), Errno> {
        self.throttle()?;
        let mut fetched = Fetched::default();
        loop {
            let (then, committed) = self.committed_from(node, range.start)?;
            let mut change = self.change(node)?;
            if change.state.forgotten != then {
                continue;
            }
            match change.punch(&range, &committed, &mut fetched) {
                Ok(()) => {
                    change.modified();
                    drop(change);
                    self.changed(node);
                    return Ok(());
                }
                Err(need) => {
                    drop(change);
                    // A part may be done already.
                    self.changed(node);
                    self.satisfy(node, &need, &mut fetched)?;
                }
            }
        }
    }

    /// Makes the file at least `size` bytes long.
    pub(crate) fn grow(&self, node: &Arc<Node>, size: u64) -> Result<(), Errno> {
        self.throttle()?;
        let mut change = self.change(node)?;
        change.state.inode.size = change.state.inode.size.max(size);
        change.modified();
        drop(change);
        self.changed(node);
        Ok(())
    }

    fn change<'a>(&'a self, node: &'a Node) -> Result<Change<'a>, Errno> {
        self.check()?;
        let barrier = self.barrier.read();
        Ok(Change { volume: self, state: node.lock(), _barrier: barrier })
    }

    fn satisfy(&self, node: &Node, need: &Need, fetched: &mut Fetched) -> Result<(), Errno> {
        match need {
            Need::Chunk(number) => {
                let then = node.lock().forgotten;
                fetched.chunk = Some((*number, self.chunk(node, *number)?, then));
            }
            Need::Block(stored) => {
                let data = self.fetch(&[*stored])?.pop().ok_or(Errno::IO)?;
                fetched.block = Some((*stored, data));
            }
        }
        Ok(())
    }

    /// Blocks that hold something in the database, from the one with byte `offset` on, with how much, and the state of
    /// the file's memory of chunks that they belong to.
    fn committed_from(&self, node: &Node, offset: u64) -> Result<(u64, Vec<(u64, u64)>), Errno> {
        let first = offset / self.block();
        let (then, limit) = {
            let state = node.lock();
            (state.forgotten, state.limit())
        };
        let mut blocks = Vec::new();
        if first >= limit {
            return Ok((then, blocks));
        }
        let mut range = key::chunks_from(node.ino, first / CHUNK_BLOCKS);
        loop {
            // Chunks are written by commits only.
            let page = self.scan(&range, 1024)?;
            for (key, value) in page.records {
                let Some((_, number)) = key::chunk_of(&key) else { return Err(Errno::IO) };
                let chunk: Chunk = decode("chunk", &value)?;
                blocks
                    .extend(chunk.places().map(|(index, place)| (number * CHUNK_BLOCKS + index as u64, place.held())));
            }
            match page.next {
                Some(next) => range.start = next,
                None => break,
            }
        }
        blocks.retain(|(block, _)| *block >= first);
        Ok((then, blocks))
    }

    /// The block of a byte, and where in it the byte is.
    fn split(&self, offset: u64) -> (u64, u64) {
        (offset / self.block(), offset % self.block())
    }
}

impl Change<'_> {
    fn modified(&mut self) {
        let now = now();
        self.state.inode.mtime = now;
        self.state.inode.ctime = now;
    }

    /// Where the database has a block of the file.
    fn place(&self, block: u64, fetched: &Fetched) -> Result<Place, Need> {
        if block >= self.state.limit() {
            return Ok(Place::Hole);
        }
        let number = block / CHUNK_BLOCKS;
        let index = to_usize(block % CHUNK_BLOCKS);
        if let Some(chunk) = self.state.chunk(number) {
            return Ok(chunk.get(index).clone());
        }
        match &fetched.chunk {
            Some((known, chunk, then)) if *known == number && *then == self.state.forgotten => {
                Ok(chunk.get(index).clone())
            }
            _ => Err(Need::Chunk(number)),
        }
    }

    /// The data of a block; nothing if it is a hole.
    fn data(&self, block: u64, fetched: &Fetched) -> Result<Option<Data>, Need> {
        if let Some(dirty) = self.state.dirty.get(&block) {
            return Ok(dirty.data.clone());
        }
        match self.place(block, fetched)? {
            Place::Hole => Ok(None),
            Place::Inline(data) => Ok(Some(Arc::new(data))),
            Place::Stored(stored) => match &fetched.block {
                Some((known, data)) if *known == stored => Ok(Some(data.clone())),
                _ => self.volume.blocks.get((&stored).into()).map(Some).ok_or(Need::Block(stored)),
            },
        }
    }

    /// Bytes that a block holds.
    fn held(&self, block: u64, fetched: &Fetched) -> Result<u64, Need> {
        match self.state.dirty.get(&block) {
            Some(dirty) => Ok(dirty.held()),
            None => Ok(self.place(block, fetched)?.held()),
        }
    }

    /// Gives a block new content. `before` is what it held.
    fn put(&mut self, block: u64, data: Option<Data>, before: u64) {
        let dirty = Dirty { data };
        let now = dirty.held();
        let replaced = self.state.dirty.insert(block, dirty).map_or(0, |dirty| dirty.held());
        self.state.inode.held = (self.state.inode.held + now).saturating_sub(before);
        self.volume.commits.waits(now, replaced);
        self.volume.count_bytes(now, before);
    }

    fn write(&mut self, block: u64, start: usize, from: IoSource<'_>, fetched: &mut Fetched) -> Result<(), Need> {
        let end = start + from.len();
        let before = self.held(block, fetched)?;
        // What is overwritten whole need not be known.
        let mut data = if start == 0 && end as u64 >= before { None } else { self.data(block, fetched)? };
        if let Some(dirty) = self.state.dirty.get_mut(&block) {
            // Not shared with this any more, so that it is only copied if a commit has it.
            dirty.data = dirty.data.take().filter(|_| data.is_none());
            self.volume.commits.waits(dirty.held(), before);
        }
        let mut bytes = data.take().map_or_else(Vec::new, Arc::unwrap_or_clone);
        if bytes.len() < end {
            bytes.resize(end, 0);
        }
        from.get(0, &mut bytes[start..end]);
        self.put(block, Some(Arc::new(bytes)), before);
        Ok(())
    }

    /// Drops all data from byte `size` on.
    fn cut(&mut self, size: u64, committed: &[(u64, u64)], fetched: &mut Fetched) -> Result<(), Need> {
        if size >= self.state.inode.size {
            return Ok(());
        }
        let (last, inner) = self.volume.split(size);
        if inner > 0 {
            self.shorten(last, to_usize(inner), fetched)?;
        }
        let first = last + u64::from(inner > 0);
        let limit = self.state.limit();
        let gone = committed
            .iter()
            .filter(|(block, _)| (first..limit).contains(block) && !self.state.dirty.contains_key(block));
        let mut freed: u64 = gone.map(|(_, held)| held).sum();
        let dirty = self.state.dirty.split_off(&first);
        let dropped: u64 = dirty.values().map(Dirty::held).sum();
        self.volume.commits.waits(0, dropped);
        freed += dropped;
        self.state.inode.held = self.state.inode.held.saturating_sub(freed);
        self.volume.count_bytes(0, freed);
        self.state.cut_from(first);
        Ok(())
    }

    /// Leaves `count` bytes of a block.
    fn shorten(&mut self, block: u64, count: usize, fetched: &Fetched) -> Result<(), Need> {
        let before = self.held(block, fetched)?;
        if before <= count as u64 {
            return Ok(());
        }
        let Some(data) = self.data(block, fetched)? else { return Ok(()) };
        self.put(block, Some(Arc::new(data[..count].to_vec())), before);
        Ok(())
    }

    fn punch(&mut self, range: &Range<u64>, committed: &[(u64, u64)], fetched: &mut Fetched) -> Result<(), Need> {
        let end = range.end.min(self.state.inode.size);
        let (first, last) = (range.start / self.volume.block(), end.div_ceil(self.volume.block()));
        let limit = self.state.limit();
        let stored = committed.iter().map(|(block, _)| *block).filter(|block| *block < limit);
        let mut blocks: Vec<u64> = stored.chain(self.state.dirty.keys().copied()).collect();
        blocks.retain(|block| (first..last).contains(block));
        blocks.sort_unstable();
        blocks.dedup();
        for block in blocks {
            let start = block * self.volume.block();
            let inner = to_usize(range.start.saturating_sub(start))..to_usize((end - start).min(self.volume.block()));
            let before = self.held(block, fetched)?;
            let reaches_end = inner.end as u64 >= before;
            match inner.start {
                // The commit under way may write it, even where the file was cut before.
                0 if reaches_end && block < self.state.committed => self.put(block, None, before),
                0 if reaches_end => {
                    let replaced = self.state.dirty.remove(&block).map_or(0, |dirty| dirty.held());
                    self.volume.commits.waits(0, replaced);
                    self.volume.count_bytes(0, before);
                    self.state.inode.held = self.state.inode.held.saturating_sub(before);
                }
                start if reaches_end => self.shorten(block, start, fetched)?,
                start => {
                    let Some(data) = self.data(block, fetched)? else { continue };
                    let mut bytes = Arc::unwrap_or_clone(data);
                    bytes[start..inner.end].fill(0);
                    self.put(block, Some(Arc::new(bytes)), before);
                }
            }
        }
        Ok(())
    }
}

fn put_zeros(into: &mut IoTarget<'_>, mut at: usize, mut count: usize) {
    const ZEROS: [u8; 4096] = [0; 4096];
    while count > 0 {
        let part = count.min(ZEROS.len());
        into.put(at, &ZEROS[..part]);
        at += part;
        count -= part;
    }
}

fn to_usize(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
