//! Reading blocks from segments: those next to each other at once, those of different segments side by side.

use std::collections::HashMap;
use std::sync::Arc;

use futures::future::join_all;

use crate::cache::{BlockKey, Claim};
use crate::node::{Data, Node};
use crate::record::{CHUNK_BLOCKS, Chunk, Place, Stored};
use crate::volume::Volume;
use crate::{Errno, key, segment};

/// Bytes that are asked for at once, at most.
const LARGEST: u32 = 4 << 20;

/// Bytes between two blocks that are rather read than asked around.
const GAP: u32 = 32 << 10;

/// So many successive chunks of a file are looked up at once for who reads far ahead.
const LOOKED_UP: u64 = 256;

/// And so many are far.
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
            found.extend(self.wait(self.fetch_claimed(mine, &claim))?);
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

    /// Fetches blocks that are claimed.
    async fn fetch_claimed(&self, mut blocks: Vec<Stored>, _: &Claim<'_>) -> Result<HashMap<BlockKey, Data>, Errno> {
        blocks.sort_unstable_by_key(|stored| (stored.volume, stored.segment, stored.offset));
        blocks.dedup();
        let runs: Vec<&[Stored]> = blocks.chunk_by(is_near).flat_map(split).collect();
        let mut all = HashMap::new();
        for run in join_all(runs.into_iter().map(|run| self.fetch_run(run))).await {
            all.extend(run?);
        }
        Ok(all)
    }

    /// Fetches blocks that are near each other by one request.
    async fn fetch_run(&self, run: &[Stored]) -> Result<Vec<(BlockKey, Data)>, Errno> {
        let (Some(first), Some(last)) = (run.first(), run.last()) else { return Ok(Vec::new()) };
        let end = last.offset.checked_add(last.len).ok_or(Errno::IO)?;
        let prefix = self.prefixes.get(usize::from(first.volume)).ok_or_else(|| {
            tracing::error!(volume = first.volume, "the volume is damaged: data refers to an unknown volume");
            Errno::IO
        })?;
        let bytes = segment::read(&self.store, prefix, first.segment, first.offset..end).await.map_err(|error| {
            let error = crate::error::reason(&error);
            tracing::error!(segment = format_args!("{:016x}", first.segment), error, "cannot read file data");
            Errno::IO
        })?;
        run.iter()
            .map(|stored| {
                let start = (stored.offset - first.offset) as usize;
                let part = bytes.get(start..start + stored.len as usize).ok_or(Errno::IO)?;
                let data = Arc::new(segment::unpack(stored, part, self.superblock.block)?);
                self.blocks.put(stored.into(), data.clone());
                Ok((stored.into(), data))
            })
            .collect()
    }

    /// Fetches a file's blocks from `first` to before `end` that are not here, if they are in the store. Who needs them
    /// later finds them; who needs them now waits.
    pub(crate) async fn prefetch(self: Arc<Self>, node: Arc<Node>, first: u64, end: u64) {
        let mut blocks = Vec::new();
        let chunks = first / CHUNK_BLOCKS..end.div_ceil(CHUNK_BLOCKS);
        if chunks.end.saturating_sub(chunks.start) >= FAR {
            // One request of the database for hundreds of MiB, before one for each few.
            let from = chunks.start / LOOKED_UP * LOOKED_UP;
            let range = key::chunk(node.ino, from)..key::chunk(node.ino, from + LOOKED_UP);
            let _ = self.meta.scan(range, usize::MAX).await;
        }
        for number in chunks {
            let Ok(chunk) = self.chunk_for_prefetch(&node, number).await else { return };
            for (index, place) in chunk.places() {
                let block = number * CHUNK_BLOCKS + index as u64;
                if let Place::Stored(stored) = place
                    && (first..end).contains(&block)
                {
                    blocks.push(*stored);
                }
            }
        }
        let claim = self.blocks.claim(blocks.iter().map(BlockKey::from));
        blocks.retain(|stored| claim.contains(stored.into()));
        // Whoever needs them hears of errors.
        let _ = self.fetch_claimed(blocks, &claim).await;
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
        let run: Vec<Stored> = (0..100).map(|i| stored(1, i << 16, 1 << 16)).collect();
        let lengths: Vec<usize> = split(&run).into_iter().map(<[Stored]>::len).collect();
        assert_eq!(lengths, [64, 36]);
        assert_eq!(split(&[stored(1, 0, LARGEST + 1)]).len(), 1);
    }
}
