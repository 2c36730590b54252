//! Writing what was taken: chunks, counts of segments, attributes, names, all in one batch.

use std::collections::{BTreeMap, HashMap};

use futures::{StreamExt, TryStreamExt, stream};
use slatedb::WriteBatch;

use super::freeze::{Frozen, FrozenFile};
use crate::meta::Failure;
use crate::node::Dirty;
use crate::record::{CHUNK_BLOCKS, Chunk, Place, Segment, decode, encode};
use crate::volume::{Volume, now};
use crate::{Errno, key};

/// Records that are read side by side.
const READS: usize = 32;

/// Records that are read at once.
const PAGE: usize = 1024;

/// Changes of how much of segments, by volume and number, is in use: bytes that come, and bytes that go.
type Uses = HashMap<(u16, u64), (u64, u64)>;

impl Volume {
    /// Writes `frozen`. After a failure it can be called again.
    pub(super) async fn write_frozen(&self, frozen: &mut Frozen) -> Result<(), Failure> {
        if !frozen.is_placed {
            self.place(frozen).await?;
        }
        if !frozen.is_applied {
            // Counts are read to make it, and may be in the database already when it is tried again.
            if frozen.batch.is_none() {
                frozen.batch = Some(self.batch(frozen).await?);
            }
            if let Some(batch) = &frozen.batch {
                self.meta.apply(batch.clone()).await?;
            }
            frozen.is_applied = true;
            self.settle(frozen);
        }
        self.meta.flush().await
    }

    async fn batch(&self, frozen: &Frozen) -> Result<WriteBatch, Failure> {
        let mut batch = WriteBatch::new();
        let mut uses = Uses::new();
        for (key, value) in &*frozen.changes {
            match value {
                Some(value) => batch.put(key, value),
                None => batch.delete(key),
            }
        }
        for file in &frozen.files {
            for (number, chunk) in self.chunks(file, &mut uses).await.map_err(unreadable)? {
                let key = key::chunk(file.node.ino, number);
                if chunk.is_empty() { batch.delete(key) } else { batch.put(key, encode(&chunk)) }
            }
            batch.put(key::inode(file.node.ino), encode(&file.inode));
        }
        for ino in &frozen.doomed {
            self.delete(*ino, &mut batch, &mut uses).await.map_err(unreadable)?;
        }
        self.count_uses(uses, frozen, &mut batch).await.map_err(unreadable)?;
        batch.put(key::state(), encode(&frozen.state));
        Ok(batch)
    }

    /// The chunks of a file that change, as they are to be.
    async fn chunks(&self, file: &FrozenFile, uses: &mut Uses) -> Result<BTreeMap<u64, Chunk>, Errno> {
        let ino = file.node.ino;
        let mut chunks: BTreeMap<u64, Chunk> = BTreeMap::new();
        // Everything that was cut off.
        if file.keep < file.committed {
            for (number, chunk) in self.stored_chunks(ino, file.keep / CHUNK_BLOCKS).await? {
                chunks.insert(number, chunk);
            }
        }
        let touched = file.blocks.iter().map(|block| block.number / CHUNK_BLOCKS);
        let mut missing: Vec<u64> = touched.filter(|number| !chunks.contains_key(number)).collect();
        missing.dedup();
        let read = stream::iter(missing).map(|number| async move {
            let is_new = number * CHUNK_BLOCKS >= file.committed;
            let stored =
                if is_new { None } else { self.meta.record::<Chunk>("chunk", &key::chunk(ino, number)).await? };
            Ok::<_, Errno>((number, stored.unwrap_or_default()))
        });
        chunks.extend(read.buffer_unordered(READS).try_collect::<Vec<_>>().await?);
        for (number, chunk) in &mut chunks {
            let first = number * CHUNK_BLOCKS;
            let cut: Vec<usize> =
                chunk.places().map(|(index, _)| index).filter(|index| first + *index as u64 >= file.keep).collect();
            for index in cut {
                released(&chunk.set(index, Place::Hole), uses);
            }
        }
        for block in &file.blocks {
            let Some(chunk) = chunks.get_mut(&(block.number / CHUNK_BLOCKS)) else { continue };
            let index = usize::try_from(block.number % CHUNK_BLOCKS).unwrap_or_default();
            if let Place::Stored(stored) = &block.place {
                uses.entry((stored.volume, stored.segment)).or_default().0 += u64::from(stored.len);
            }
            released(&chunk.set(index, block.place.clone()), uses);
        }
        Ok(chunks)
    }

    /// The chunks of a file in the database, from one on.
    async fn stored_chunks(&self, ino: u64, first: u64) -> Result<Vec<(u64, Chunk)>, Errno> {
        let mut chunks = Vec::new();
        let mut range = key::chunks_from(ino, first);
        loop {
            let page = self.meta.scan(range.clone(), PAGE).await?;
            for record in &page {
                let (_, number) = key::chunk_of(&record.key).ok_or(Errno::IO)?;
                chunks.push((number, decode("chunk", &record.value)?));
            }
            match page.last() {
                Some(last) if page.len() == PAGE => range.start = [&last.key[..], &[0]].concat(),
                _ => return Ok(chunks),
            }
        }
    }

    /// Deletes a file and all that belongs to it.
    async fn delete(&self, ino: u64, batch: &mut WriteBatch, uses: &mut Uses) -> Result<(), Errno> {
        for (number, chunk) in self.stored_chunks(ino, 0).await? {
            for (_, place) in chunk.places() {
                released(place, uses);
            }
            batch.delete(key::chunk(ino, number));
        }
        let mut range = key::xattrs(ino);
        loop {
            let page = self.meta.scan(range.clone(), PAGE).await?;
            for record in &page {
                batch.delete(&record.key);
            }
            match page.last() {
                Some(last) if page.len() == PAGE => range.start = [&last.key[..], &[0]].concat(),
                _ => break,
            }
        }
        // Those that are not in the database yet.
        for (key, _) in self.overlay.range(&key::xattrs(ino)) {
            batch.delete(key);
        }
        batch.delete(key::inode(ino));
        batch.delete(key::orphan(ino));
        Ok(())
    }

    /// Counts how much of segments is in use.
    async fn count_uses(&self, uses: Uses, frozen: &Frozen, batch: &mut WriteBatch) -> Result<(), Errno> {
        let read = stream::iter(uses).map(|((volume, number), change)| async move {
            let key = key::segment(volume, number);
            let segment = self.meta.record::<Segment>("segment", &key).await?;
            Ok::<_, Errno>((key, volume, number, segment, change))
        });
        let read: Vec<_> = read.buffer_unordered(READS).try_collect().await?;
        for (key, volume, number, segment, (more, less)) in read {
            let object = frozen.objects.get(&number).copied().unwrap_or_default();
            let mut segment = segment.unwrap_or(Segment { size: 0, object, live: 0, dead_since: 0 });
            segment.size += more;
            segment.live = (segment.live + more).saturating_sub(less);
            segment.dead_since = if segment.live == 0 { now().sec } else { 0 };
            // What another volume does with its own is its business.
            if segment.live == 0 && volume != self.own { batch.delete(key) } else { batch.put(key, encode(&segment)) }
        }
        Ok(())
    }

    /// Forgets what is in the database now.
    fn settle(&self, frozen: &Frozen) {
        for file in &frozen.files {
            let mut state = file.node.lock();
            for block in &file.blocks {
                let is_same = |dirty: &Dirty| match (&dirty.data, &block.data) {
                    (Some(now), Some(then)) => std::sync::Arc::ptr_eq(now, then),
                    (None, None) => true,
                    _ => false,
                };
                if state.dirty.get(&block.number).is_some_and(is_same)
                    && let Some(dirty) = state.dirty.remove(&block.number)
                {
                    self.commits.waits(0, dirty.held());
                }
                if let (Place::Stored(stored), Some(data)) = (&block.place, &block.data) {
                    self.blocks.put(stored.into(), data.clone());
                }
            }
            state.keep = state.next_keep;
            state.forget();
        }
        self.commits.waits(0, frozen.size);
        self.publish();
    }
}

/// Counts a block that is not referred to any more.
fn released(place: &Place, uses: &mut Uses) {
    if let Place::Stored(stored) = place {
        uses.entry((stored.volume, stored.segment)).or_default().1 += u64::from(stored.len);
    }
}

fn unreadable(errno: Errno) -> Failure {
    Failure::Passing(format!("cannot read metadata ({errno})"))
}
