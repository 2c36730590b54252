//! Finding places for data: small files go into the metadata, the rest into segments.

use futures::{StreamExt, TryStreamExt, stream};

use super::freeze::{Frozen, FrozenFile};
use crate::meta::Failure;
use crate::record::{Place, S_IFREG, Stored};
use crate::segment::{self, Builder};
use crate::volume::Volume;

/// Bytes of the largest file whose data is in the metadata.
const SMALL: u64 = 4096;

/// Segments that are sent side by side.
const UPLOADS: usize = 4;

impl Volume {
    /// Gives all blocks a place, and sends those that go into segments to the store.
    pub(crate) async fn place(&self, frozen: &mut Frozen) -> Result<(), Failure> {
        let mut full = Vec::new();
        let mut open: Option<Builder> = None;
        for file in &mut frozen.files {
            let is_small = is_small(file);
            for block in &mut file.blocks {
                let Some(data) = &block.data else { continue };
                if is_small {
                    block.place = Place::Inline(data.to_vec());
                    continue;
                }
                let builder = open.get_or_insert_with(|| Builder::new(self.own, self.next_segment()));
                let stored: Stored = builder.add(file.node.ino, block.number, data, self.options.compression);
                block.place = Place::Stored(stored);
                if builder.is_full() {
                    full.extend(open.take());
                }
            }
        }
        full.extend(open);
        let full: Vec<_> = full.into_iter().map(|builder| (builder.number(), builder.finish())).collect();
        frozen.objects = full.iter().map(|(number, object)| (*number, object.content_length() as u64)).collect();
        stream::iter(full)
            .map(|(number, object)| async move { segment::upload(&self.store, number, object).await })
            .buffer_unordered(UPLOADS)
            .try_collect::<()>()
            .await
            .map_err(|error| Failure::Passing(error.to_string()))?;
        frozen.is_placed = true;
        Ok(())
    }
}

/// Whether the whole content is little and new.
fn is_small(file: &FrozenFile) -> bool {
    file.inode.is(S_IFREG) && file.inode.size <= SMALL
}
