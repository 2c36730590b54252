//! Reading blocks from segments: those next to each other at once, those of different segments side by side.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use futures::future::join_all;
use parking_lot::Mutex;

use crate::cache::{BlockKey, Claim};
use crate::node::{Data, LOOKED_UP, Node};
use crate::reading::Reading;
use crate::record::{CHUNK_BLOCKS, Chunk, Place, Stored, decode};
use crate::volume::Volume;
use crate::{Errno, key, segment};

/// Bytes that are asked for at once, at most: a whole segment.
#[expect(clippy::cast_possible_truncation, reason = "it is small")]
const LARGEST: u32 = segment::TARGET as u32;

/// Bytes between two blocks that are rather read than asked around.
const GAP: u32 = 32 << 10;

/// Who reads so many successive chunks ahead will need more of them.
const FAR: u64 = 4;

impl Volume {
    /// The data of blocks, in the order of `wanted`. Waits for the store.
    pub(crate) fn fetch(&self, wanted: &[Stored]) -> Result<Vec<Data>, Errno> {
        let mut found: HashMap<BlockKey, Data> = HashMap::new();
        loop {
            let missing: Vec<Stored> = wanted.iter().filter(|stored| !self.find(stored, &mut found)).copied().collect();
            let Some(first) = missing.first() else { break };
            self.check()?;
            let claim = self.blocks.claim(missing.iter().map(BlockKey::from));
            if claim.is_empty() {
                // Somebody else fetches them, and may fail: then it is up to us.
                self.blocks.wait_for(first.into());
                continue;
            }
            let mine: Vec<Stored> = missing.into_iter().filter(|stored| claim.contains(stored.into())).collect();
            let mut taken = Mutex::new(Vec::new());
            self.wait(self.fetch_claimed(mine, &claim, &|key, data| taken.lock().push((key, data))))?;
            found.extend(taken.get_mut().drain(..));
        }
        Ok(wanted.iter().filter_map(|stored| found.get(&stored.into()).cloned()).collect())
    }

    fn find(&self, stored: &Stored, found: &mut HashMap<BlockKey, Data>) -> bool {
        let key = stored.into();
        if found.contains_key(&key) {
            return true;
        }
        let Some(data) = self.blocks.get(key) else { return false };
        found.insert(key, data);
        true
    }

    /// Fetches blocks that are claimed. Each goes to who waits for it as soon as it is here, and to `take`.
    async fn fetch_claimed(
        &self,
        mut blocks: Vec<Stored>,
        claim: &Claim<'_>,
        take: &(impl Fn(BlockKey, Data) + Sync),
    ) -> Result<(), Errno> {
        blocks.sort_unstable_by_key(|stored| (stored.volume, stored.segment, stored.offset));
        blocks.dedup();
        let runs: Vec<&[Stored]> = blocks.chunk_by(is_near).flat_map(split).collect();
        let fetched = join_all(runs.into_iter().map(|run| self.fetch_run(run, claim, take))).await;
        fetched.into_iter().collect()
    }

    /// Fetches blocks that are near each other by one request.
    async fn fetch_run(
        &self,
        run: &[Stored],
        claim: &Claim<'_>,
        take: &(impl Fn(BlockKey, Data) + Sync),
    ) -> Result<(), Errno> {
        let (Some(first), Some(last)) = (run.first(), run.last()) else { return Ok(()) };
        let end = last.offset.checked_add(last.len).ok_or(Errno::IO)?;
        let prefix = self.prefixes.get(usize::from(first.volume)).ok_or_else(|| {
            tracing::error!(volume = first.volume, "the volume is damaged: data refers to an unknown volume");
            Errno::IO
        })?;
        let failed = |error: object_store::Error| {
            let error = crate::error::reason(&error);
            tracing::error!(segment = format_args!("{:016x}", first.segment), error, "cannot read file data");
            Errno::IO
        };
        let range = first.offset..end;
        let mut reading = Reading::start(&self.store, prefix, first.segment, range).await.map_err(failed)?;
        let mut at = first.offset;
        for stored in run {
            // Two places of one segment never overlap, unless the volume is damaged.
            let gap = stored.offset.checked_sub(at).ok_or(Errno::IO)?;
            reading.skip(gap as usize).await.map_err(failed)?;
            let bytes = reading.take(stored.len as usize).await.map_err(failed)?;
            at = stored.offset + stored.len;
            let data = Arc::new(segment::unpack(stored, bytes, self.superblock.block)?);
            claim.release(stored.into(), data.clone());
            take(stored.into(), data);
        }
        Ok(())
    }

    /// Fetches a file's blocks from `first` to before `end` that are not here, if they are in the store. Who needs them
    /// later finds them; who needs them now waits.
    pub(crate) async fn prefetch(self: Arc<Self>, node: Arc<Node>, first: u64, end: u64) {
        let chunks = first / CHUNK_BLOCKS..end.div_ceil(CHUNK_BLOCKS);
        if chunks.end.saturating_sub(chunks.start) >= FAR && self.look_up(&node, &chunks).await.is_err() {
            return;
        }
        // What is left of a segment comes by the same request, if much is wanted.
        let whole = u64::from(LARGEST) / self.block();
        let most = if end - first >= whole { end + whole } else { end };
        let mut blocks: Vec<Stored> = Vec::new();
        'all: for number in chunks.start..most.div_ceil(CHUNK_BLOCKS) {
            let Ok(chunk) = self.chunk_for_prefetch(&node, number).await else { return };
            for (index, place) in chunk.places() {
                let block = number * CHUNK_BLOCKS + index as u64;
                if let Place::Stored(stored) = place
                    && (first..most).contains(&block)
                {
                    if block >= end && !blocks.last().is_some_and(|last| is_near(last, stored)) {
                        break 'all;
                    }
                    blocks.push(*stored);
                }
            }
        }
        let claim = self.blocks.claim(blocks.iter().map(BlockKey::from));
        blocks.retain(|stored| claim.contains(stored.into()));
        // Whoever needs them hears of errors.
        let _ = self.fetch_claimed(blocks, &claim, &|_, _| ()).await;
    }

    /// Has a file remember where a part of it is and what comes next, if it does not know where all of the part is: one
    /// request to the database instead of many.
    async fn look_up(&self, node: &Node, chunks: &Range<u64>) -> Result<(), Errno> {
        let (first, then) = {
            let state = node.lock();
            match chunks.clone().find(|number| state.chunk(*number).is_none()) {
                Some(first) => (first, state.forgotten),
                None => return Ok(()),
            }
        };
        let end = first + LOOKED_UP;
        let records = self.meta.scan(key::chunk(node.ino, first)..key::chunk(node.ino, end), usize::MAX).await?;
        let mut found = HashMap::new();
        for record in records {
            let (_, number) = key::chunk_of(&record.key).ok_or(Errno::IO)?;
            found.insert(number, decode::<Chunk>("chunk", &record.value)?);
        }
        if self.has_moved_on(node).await? {
            return Ok(());
        }
        let mut state = node.lock();
        state.make_room();
        for number in first..end {
            state.remember(number, Arc::new(found.remove(&number).unwrap_or_default()), then);
        }
        Ok(())
    }

    async fn chunk_for_prefetch(&self, node: &Node, number: u64) -> Result<Arc<Chunk>, Errno> {
        let then = {
            let state = node.lock();
            if let Some(chunk) = state.chunk(number) {
                return Ok(chunk);
            }
            state.forgotten
        };
        let chunk: Option<Chunk> = self.meta.record("chunk", &key::chunk(node.ino, number)).await?;
        let chunk = Arc::new(chunk.unwrap_or_default());
        if self.has_moved_on(node).await? {
            // Not remembered: whoever needs it looks at the attributes again, and then for the chunk.
            return Ok(chunk);
        }
        node.lock().remember(number, chunk.clone(), then);
        Ok(chunk)
    }

    /// Where a chunk of a file's blocks is in the database. Waits for the store.
    pub(crate) fn chunk(&self, node: &Node, number: u64) -> Result<Arc<Chunk>, Errno> {
        self.check()?;
        self.wait(self.chunk_for_prefetch(node, number))
    }
}

/// Whether one request fetches both.
fn is_near(first: &Stored, second: &Stored) -> bool {
    let same = first.volume == second.volume && first.segment == second.segment;
    same && second.offset.saturating_sub(first.offset + first.len) <= GAP
}

/// Parts of a run of near blocks that are not too long for a request.
fn split(run: &[Stored]) -> Vec<&[Stored]> {
    let mut parts = Vec::new();
    let mut rest = run;
    while let Some(first) = rest.first() {
        let fits = |stored: &&Stored| stored.offset + stored.len - first.offset <= LARGEST;
        let count = rest.iter().take_while(fits).count().max(1);
        let (part, others) = rest.split_at(count);
        parts.push(part);
        rest = others;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Codec;

    fn stored(segment: u64, offset: u32, len: u32) -> Stored {
        Stored { volume: 0, segment, offset, len, plain: len, codec: Codec::None, crc: 0 }
    }

    #[test]
    fn near_blocks_are_one_request() {
        assert!(is_near(&stored(1, 0, 100), &stored(1, 100, 5)));
        assert!(is_near(&stored(1, 0, 100), &stored(1, 100 + GAP, 5)));
        assert!(!is_near(&stored(1, 0, 100), &stored(1, 101 + GAP, 5)));
        assert!(!is_near(&stored(1, 0, 100), &stored(2, 100, 5)));
        let run: Vec<Stored> = (0..200).map(|i| stored(1, i << 16, 1 << 16)).collect();
        let lengths: Vec<usize> = split(&run).into_iter().map(<[Stored]>::len).collect();
        assert_eq!(lengths, [128, 72]);
        assert_eq!(split(&[stored(1, 0, LARGEST + 1)]).len(), 1);
    }
}
