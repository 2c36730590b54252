//! Deleting segments that nothing refers to.

use std::collections::HashSet;
use std::time::Instant;

use futures::{StreamExt, TryStreamExt, stream};
use object_store::ObjectStoreExt;

use super::{Age, Collected, Memory};
use crate::meta::{Meta, View};
use crate::record::Segment;
use crate::superblock::Superblock;
use crate::volume::{Volume, now};
use crate::{Errno, Error, key, segment};

/// Requests that are sent side by side.
const REQUESTS: usize = 16;

impl Volume {
    /// Deletes the segments that are dead, for everybody and for long enough.
    pub(super) fn delete_dead(
        &self,
        segments: &[(u64, Segment)],
        age: Age,
        memory: &mut Memory,
    ) -> Result<Collected, Error> {
        let horizon = self.options.horizon;
        let dead: HashSet<u64> = segments.iter().filter(|(_, it)| it.live == 0).map(|(number, _)| *number).collect();
        memory.seen.retain(|number, _| dead.contains(number));
        for number in &dead {
            memory.seen.entry(*number).or_insert_with(Instant::now);
        }
        let limit = now().sec.saturating_sub(i64::try_from(horizon.as_secs()).unwrap_or(i64::MAX));
        let is_old = |number: u64, segment: &Segment| match age {
            Age::Seen => memory.seen.get(&number).is_some_and(|seen| seen.elapsed() >= horizon),
            Age::Noted => segment.dead_since <= limit,
        };
        let old = segments.iter().filter(|(number, it)| it.live == 0 && is_old(*number, it));
        let old: Vec<(u64, u64)> = old.map(|(number, segment)| (*number, segment.object)).collect();
        if old.is_empty() {
            return Ok(Collected::default());
        }
        let mut unneeded: HashSet<u64> = old.iter().map(|(number, _)| *number).collect();
        self.wait(async {
            self.check_place().await?;
            self.flush_for_checkpoints().await?;
            self.drop_needed(&mut unneeded, memory).await?;
            self.delete_objects(unneeded.iter().copied()).await
        })?;
        self.forget_segments(&unneeded);
        let deleted = old.iter().filter(|(number, _)| unneeded.contains(number));
        Ok(Collected {
            deleted: unneeded.len() as u64,
            freed: deleted.map(|(_, bytes)| bytes).sum(),
            kept: (old.len() - unneeded.len()) as u64,
            ..Collected::default()
        })
    }

    /// Deletes segments of those who wrote before that never came to be part of the volume.
    pub(super) fn delete_orphans(&self, segments: &[(u64, Segment)]) -> Result<u64, Error> {
        let known: HashSet<u64> = segments.iter().map(|(number, _)| *number).collect();
        self.wait(async {
            let mut orphans = self.old_objects().await?;
            orphans.retain(|number| !known.contains(number));
            if orphans.is_empty() {
                return Ok(0);
            }
            self.check_place().await?;
            self.flush_for_checkpoints().await?;
            self.drop_needed(&mut orphans, &mut Memory::default()).await?;
            self.delete_objects(orphans.iter().copied()).await?;
            Ok(orphans.len() as u64)
        })
    }

    /// Segments in the store that are not of this opening, and older than the horizon.
    async fn old_objects(&self) -> Result<HashSet<u64>, Error> {
        let horizon = i64::try_from(self.options.horizon.as_secs()).unwrap_or(i64::MAX);
        let limit = self.store.time().await?.saturating_sub(horizon);
        let failed = |source| Error::Store { url: self.store.url.clone(), source };
        let mut objects = self.store.objects.list(Some(&"data".into()));
        let mut found = HashSet::new();
        while let Some(object) = objects.try_next().await.map_err(failed)? {
            let number = segment::number_of(&object.location);
            let is_before = |number: &u64| number >> 32 < u64::from(self.opening());
            found.extend(number.filter(is_before).filter(|_| object.last_modified.timestamp() <= limit));
        }
        Ok(found)
    }

    /// An error unless the store still has this volume at its place.
    async fn check_place(&self) -> Result<(), Error> {
        match Superblock::read(&self.store).await? {
            Some(superblock) if superblock.id == self.superblock.id => Ok(()),
            _ => Err(Error::Damaged { url: self.store.url.clone(), what: "another volume is in its place".to_owned() }),
        }
    }

    async fn flush_for_checkpoints(&self) -> Result<(), Error> {
        self.meta.flush_for_checkpoints().await.map_err(|failure| {
            tracing::warn!(?failure, "metadata could not be flushed");
            self.unreadable()
        })
    }

    /// Takes the segments out of `dead` that a checkpoint needs.
    async fn drop_needed(&self, dead: &mut HashSet<u64>, memory: &mut Memory) -> Result<(), Error> {
        let mut checkpoints = crate::admin::checkpoints(&self.store, self.options.timeout).await?;
        // Nobody reads what only asks for something.
        checkpoints.retain(|checkpoint| !checkpoint.name.as_deref().is_some_and(|name| name.starts_with(super::DO)));
        let exists = |id| checkpoints.iter().any(|checkpoint| checkpoint.id == id);
        memory.needed.retain(|_, id| exists(*id));
        dead.retain(|number| !memory.needed.contains_key(number));
        for checkpoint in &checkpoints {
            if dead.is_empty() {
                break;
            }
            match self.needed_by(checkpoint.id, dead).await {
                Ok(needed) => {
                    dead.retain(|number| !needed.contains(number));
                    memory.needed.extend(needed.into_iter().map(|number| (number, checkpoint.id)));
                }
                // Readers drop theirs when they go on, and what nobody renews expires.
                Err(error) => {
                    let now = crate::admin::checkpoints(&self.store, self.options.timeout).await?;
                    if now.iter().any(|it| it.id == checkpoint.id) {
                        return Err(error);
                    }
                }
            }
        }
        Ok(())
    }

    /// Those of `dead` that are alive in a checkpoint.
    async fn needed_by(&self, checkpoint: uuid::Uuid, dead: &HashSet<u64>) -> Result<Vec<u64>, Error> {
        let view = Meta::read(&self.store, View::Checkpoint(checkpoint), self.options.timeout).await?;
        let alive = stream::iter(dead.iter().copied())
            .map(|number| {
                let view = &view;
                async move {
                    let record = view.record::<Segment>("segment", &key::segment(self.own, number)).await?;
                    Ok::<_, Errno>(record.filter(|segment| segment.live > 0).map(|_| number))
                }
            })
            .buffer_unordered(REQUESTS)
            .try_filter_map(|number| async move { Ok(number) })
            .try_collect()
            .await;
        view.close().await;
        alive.map_err(|_| self.unreadable())
    }

    async fn delete_objects(&self, numbers: impl Iterator<Item = u64>) -> Result<(), Error> {
        stream::iter(numbers)
            .map(|number| async move {
                match self.store.objects.delete(&segment::path(number)).await {
                    // A collection before this one has died in between.
                    Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
                    Err(source) => Err(Error::Store { url: self.store.url.clone(), source }),
                }
            })
            .buffer_unordered(REQUESTS)
            .try_collect()
            .await
    }

    /// Drops the counts of segments that are deleted.
    fn forget_segments(&self, numbers: &HashSet<u64>) {
        let _barrier = self.barrier.read();
        self.change_metadata(numbers.iter().map(|number| (key::segment(self.own, *number), None)));
    }
}
