//! Whether the store has what the metadata say, and what it has beside.

use std::collections::HashMap;

use futures::{StreamExt, TryStreamExt, stream};
use object_store::ObjectStoreExt;

use super::walk::{Extent, Walk};
use super::{CheckOptions, Manager, Progress};
use crate::meta::{Meta, View};
use crate::record::{CHUNK_BLOCKS, Chunk, Place};
use crate::{Error, key, segment};

/// Requests that are sent side by side.
const REQUESTS: usize = 16;

impl Manager {
    /// Checks objects, after the metadata were read: what is in the store now can only be more, or dead since.
    pub(super) async fn check_objects(
        &self,
        walk: &mut Walk<'_>,
        options: &CheckOptions,
        progress: &dyn Progress,
    ) -> Result<(), Error> {
        self.check_log(walk).await?;
        let sizes = self.sizes(walk, progress).await?;
        let mut gone = Vec::new();
        for ((volume, number), used) in &walk.uses {
            let counted = walk.segments.get(&(*volume, *number)).map(|segment| segment.object);
            match sizes.get(&(*volume, *number)) {
                None => gone.extend(used.extents.first().map(|extent| (*volume, *number, *extent))),
                Some(size) if Some(*size) != counted => {
                    let expected = counted.unwrap_or_default();
                    let what = format!("segment {number:016x} has {size} bytes and should have {expected}");
                    walk.report.problem(what);
                }
                Some(_) => {}
            }
        }
        gone.sort_unstable_by_key(|(volume, number, _)| (*volume, *number));
        for (volume, number, extent) in gone {
            if options.snapshot.is_some() || self.still_refers(volume, number, &extent).await? {
                let Extent { ino, block, .. } = extent;
                walk.report.problem(format!("segment {number:016x} is missing; it has block {block} of file {ino}"));
            }
        }
        if options.deep { self.read_all(walk, &sizes, progress).await } else { Ok(()) }
    }

    /// The log of the metadata must have no gap behind what tables have.
    async fn check_log(&self, walk: &mut Walk<'_>) -> Result<(), Error> {
        let manifest = super::super::within(&self.store, self.limit(), self.store.admin().read_manifest(None)).await?;
        let Some(manifest) = manifest else {
            walk.report.problem("there is no manifest");
            return Ok(());
        };
        let failed = |source| Error::Store { url: self.store.url.clone(), source };
        let mut log: Vec<u64> = Vec::new();
        let mut objects = self.store.objects.list(Some(&"meta/wal".into()));
        while let Some(object) = objects.try_next().await.map_err(failed)? {
            let name = object.location.filename().and_then(|name| name.strip_suffix(".sst"));
            log.extend(name.and_then(|name| name.parse::<u64>().ok()));
        }
        log.retain(|id| *id > manifest.replay_after_wal_id());
        log.sort_unstable();
        let last = log.last().copied().unwrap_or_default().max(manifest.next_wal_sst_id().saturating_sub(1));
        let missing = last.saturating_sub(manifest.replay_after_wal_id()).saturating_sub(log.len() as u64);
        if missing > 0 {
            walk.report.problem(format!("{missing} parts of the metadata's log are missing"));
        }
        Ok(())
    }

    /// The sizes of segments; all of this volume, and those of others that it uses.
    async fn sizes(&self, walk: &mut Walk<'_>, progress: &dyn Progress) -> Result<HashMap<(u16, u64), u64>, Error> {
        let failed = |source| Error::Store { url: self.store.url.clone(), source };
        let own = self.superblock.index();
        let openings = walk.state.map_or(0, |state| if state.is_closed { state.openings + 1 } else { state.openings });
        let mut sizes = HashMap::new();
        progress.begin("segments", Some(walk.segments.len() as u64));
        let mut objects = self.store.objects.list(Some(&"data".into()));
        while let Some(object) = objects.try_next().await.map_err(failed)? {
            progress.advance(1);
            match segment::number_of(&object.location) {
                Some(number) => {
                    sizes.insert((own, number), object.size);
                    let is_known = walk.segments.contains_key(&(own, number));
                    walk.report.orphans += u64::from(!is_known && number >> 32 < u64::from(openings));
                }
                None => walk.report.problem(format!("{} is none of the volume's objects", object.location)),
            }
        }
        let prefixes = self.superblock.prefixes(&self.store.prefix);
        let others: Vec<(u16, u64)> = walk.uses.keys().filter(|(volume, _)| *volume < own).copied().collect();
        let heads = stream::iter(others).map(|(volume, number)| {
            let path = prefixes.get(usize::from(volume)).map(|prefix| segment::path_in(prefix, number));
            async move {
                let Some(path) = path else { return Ok(None) };
                match self.store.root.head(&path).await {
                    Ok(object) => Ok(Some(((volume, number), object.size))),
                    Err(object_store::Error::NotFound { .. }) => Ok(None),
                    Err(error) => Err(error),
                }
            }
        });
        let heads: Vec<_> = heads.buffer_unordered(REQUESTS).try_collect().await.map_err(failed)?;
        sizes.extend(heads.into_iter().flatten());
        Ok(sizes)
    }

    /// Whether a file still refers to a segment: others may write, and the collector may have been faster.
    async fn still_refers(&self, volume: u16, number: u64, extent: &Extent) -> Result<bool, Error> {
        let meta = Meta::read(&self.store, View::Glance, self.limit()).await?;
        let chunk = meta.record::<Chunk>("chunk", &key::chunk(extent.ino, extent.block / CHUNK_BLOCKS)).await;
        meta.close().await;
        let Ok(chunk) = chunk else { return Ok(true) };
        let index = usize::try_from(extent.block % CHUNK_BLOCKS).unwrap_or_default();
        let place = chunk.as_ref().map(|chunk| chunk.get(index));
        Ok(matches!(place, Some(Place::Stored(it)) if (it.volume, it.segment) == (volume, number)))
    }
}
