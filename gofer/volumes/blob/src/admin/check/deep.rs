//! Reading all data.

use std::collections::HashMap;

use futures::{StreamExt, stream};
use object_store::ObjectStoreExt;

use super::walk::Walk;
use super::{Manager, Progress};
use crate::{Error, segment};

/// Segments that are read side by side.
const READS: usize = 4;

impl Manager {
    /// Reads all segments in use, and compares what files refer to with what is in them.
    pub(super) async fn read_all(
        &self,
        walk: &mut Walk<'_>,
        sizes: &HashMap<(u16, u64), u64>,
        progress: &dyn Progress,
    ) -> Result<(), Error> {
        let there: Vec<_> = walk.uses.iter().filter(|(segment, _)| sizes.contains_key(segment)).collect();
        progress.begin("bytes", Some(there.iter().filter_map(|(segment, _)| sizes.get(segment)).sum()));
        let prefixes = self.superblock.prefixes(&self.store.prefix);
        let mut read = stream::iter(there)
            .map(|((volume, number), used)| {
                let path = prefixes.get(usize::from(*volume)).map(|prefix| segment::path_in(prefix, *number));
                async move {
                    let Some(path) = path else { return (number, used, None) };
                    let object = async { self.store.root.get(&path).await?.bytes().await };
                    (number, used, object.await.ok())
                }
            })
            .buffer_unordered(READS);
        let (mut problems, mut total) = (Vec::new(), 0);
        while let Some((number, used, object)) = read.next().await {
            let Some(object) = object else {
                problems.push(format!("segment {number:016x} cannot be read"));
                continue;
            };
            total += object.len() as u64;
            progress.advance(object.len() as u64);
            if segment::list(&object).is_none() {
                problems.push(format!("segment {number:016x} is damaged at its end"));
            }
            for extent in &used.extents {
                let start = extent.offset as usize;
                let bytes = object.get(start..start + extent.len as usize);
                if bytes.is_none_or(|bytes| crc32fast::hash(bytes) != extent.crc) {
                    let (block, ino) = (extent.block, extent.ino);
                    problems
                        .push(format!("segment {number:016x}: block {block} of file {ino} is not what was written"));
                }
            }
        }
        drop(read);
        problems.sort_unstable();
        walk.report.read += total;
        for problem in problems {
            walk.report.problem(problem);
        }
        Ok(())
    }
}
