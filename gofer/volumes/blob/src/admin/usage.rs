//! How much a volume holds, and how much it takes.

use futures::TryStreamExt;
use serde::Serialize;

use super::Manager;
use crate::meta::{Meta, View};
use crate::record::{RequestCounts, Segment, State, decode};
use crate::{Error, key};

/// What a volume holds and takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// Files of all types.
    pub files: u64,
    /// Bytes of their content.
    pub content: u64,
    /// Its own segments.
    pub segments: SegmentUsage,
    /// Bytes that it uses of segments of volumes that it is a clone of.
    pub borrowed: u64,
    /// The database.
    pub metadata: MetadataUsage,
    /// How often it was opened for writing.
    pub openings: u32,
    /// How many commits there were.
    pub commits: u64,
    /// Whether a process has it open for writing, or died while it had.
    pub is_open: bool,
    /// What everybody who wrote has asked of the store.
    pub requests: RequestCounts,
}

/// Segments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SegmentUsage {
    /// How many are counted.
    pub counted: u64,
    /// Bytes of blocks that files refer to.
    pub live: u64,
    /// Bytes of blocks that none does. Snapshots and clones may.
    pub dead: u64,
    /// Objects in the store.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// The database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MetadataUsage {
    /// Objects in the store.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes of those that the current state is in, but for the log. The others are of snapshots, or deleted after some
    /// minutes.
    pub live: u64,
}

impl Manager {
    /// Counts what the volume holds and takes.
    pub fn usage(&self) -> Result<Usage, Error> {
        self.wait(async {
            let meta = Meta::read(&self.store, View::Glance, self.limit()).await?;
            let found = self.count(&meta).await;
            let live = meta.table_bytes();
            meta.close().await;
            let (state, mut segments, borrowed) = found?;
            (segments.objects, segments.bytes) = self.objects("data").await?;
            let (objects, bytes) = self.objects("meta").await?;
            Ok(Usage {
                files: state.files,
                content: state.bytes,
                segments,
                borrowed,
                metadata: MetadataUsage { objects, bytes, live },
                openings: state.openings,
                commits: state.commits,
                is_open: !state.is_closed,
                requests: state.requests,
            })
        })
    }

    async fn count(&self, meta: &Meta) -> Result<(State, SegmentUsage, u64), Error> {
        let unreadable = |_| self.damaged("its metadata cannot be read; the log says more");
        let state = meta.record("state", &key::state()).await.map_err(unreadable)?;
        let state =
            state.ok_or_else(|| self.damaged("it was not created completely; delete it and create it again"))?;
        let (mut segments, mut borrowed) = (SegmentUsage::default(), 0);
        for record in meta.scan(key::segments(), usize::MAX).await.map_err(unreadable)? {
            let segment: Segment = decode("segment", &record.value).map_err(unreadable)?;
            if key::segment_of(&record.key).is_some_and(|(volume, _)| volume == self.superblock.index()) {
                segments.counted += 1;
                segments.live += segment.live;
                segments.dead += segment.size.saturating_sub(segment.live);
            } else {
                borrowed += segment.live;
            }
        }
        Ok((state, segments, borrowed))
    }

    /// Objects below a part of the volume, and their bytes.
    async fn objects(&self, below: &str) -> Result<(u64, u64), Error> {
        let add =
            |(objects, bytes), object: object_store::ObjectMeta| async move { Ok((objects + 1, bytes + object.size)) };
        let counted = self.store.objects.list(Some(&below.into())).try_fold((0, 0), add).await;
        counted.map_err(|source| Error::Store { url: self.store.url.clone(), source })
    }
}
