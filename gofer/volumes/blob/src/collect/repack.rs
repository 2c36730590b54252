//! What is left of mostly dead segments goes into new ones.

use std::sync::Arc;

use super::{Collected, Move};
use crate::record::{CHUNK_BLOCKS, Chunk, Place, Segment, Stored};
use crate::segment::{self, Listed};
use crate::volume::Volume;
use crate::{Errno, Error, key};

/// Bytes that are moved by one commit, about.
const PORTION: u64 = 8 << 20;

/// Bytes that are moved by one collection, about.
const MOST: u64 = 64 << 20;

/// Segments of fewer bytes are joined,
const LITTLE: u64 = 1 << 20;
/// if there are so many of them.
const MANY: usize = 16;

/// The segments that are worth it, those with the least to move first.
fn choose(segments: &[(u64, Segment)], opening: u32) -> Vec<(u64, Segment)> {
    let is_little = |segment: &Segment| segment.size < LITTLE;
    // What is written now may be dead soon.
    let is_settled = |number: u64| number >> 32 < u64::from(opening);
    let alive = segments.iter().filter(|(_, segment)| segment.live > 0);
    let little = alive.clone().filter(|(number, segment)| is_little(segment) && is_settled(*number)).count();
    let mut chosen: Vec<(u64, Segment)> = alive
        .filter(|(number, it)| {
            let is_joined = little >= MANY && is_little(it) && is_settled(*number);
            it.live < it.size / 2 || is_joined
        })
        .copied()
        .collect();
    chosen.sort_by_key(|(_, segment)| segment.live);
    chosen
}

impl Volume {
    /// Moves what is left of mostly dead segments, as much as is reasonable at once.
    pub(super) fn repack(
        self: &Arc<Self>,
        segments: &[(u64, Segment)],
        collected: &mut Collected,
    ) -> Result<(), Error> {
        let mut portion = 0;
        for (number, segment) in choose(segments, self.opening()) {
            if collected.moved >= MOST || self.is_stopping() {
                break;
            }
            // What is damaged stays where it is; whoever reads it is told.
            let Ok(moves) = self.moves_of(number, &segment) else { continue };
            let bytes: u64 = moves.iter().map(|it| u64::from(it.from.len)).sum();
            self.collector.moves.lock().extend(moves);
            collected.repacked += 1;
            collected.moved += bytes;
            portion += bytes;
            if portion >= PORTION {
                self.commit_moves()?;
                portion = 0;
            }
        }
        if portion > 0 { self.commit_moves() } else { Ok(()) }
    }

    fn commit_moves(&self) -> Result<(), Error> {
        self.sync().map_err(|_| self.unreadable())
    }

    /// The blocks of a segment that files refer to.
    fn moves_of(&self, number: u64, segment: &Segment) -> Result<Vec<Move>, Errno> {
        let listed = self.wait(self.listed(number, segment))?;
        let mut offset = 0;
        let mut moves = Vec::new();
        for Listed { ino, block, len, .. } in listed {
            let at = offset;
            offset += len;
            let chunk: Option<Chunk> = self.wait(self.meta.record("chunk", &key::chunk(ino, block / CHUNK_BLOCKS)))?;
            let index = usize::try_from(block % CHUNK_BLOCKS).unwrap_or_default();
            let is_here = |it: &Stored| it.volume == self.own && it.segment == number && it.offset == at;
            if let Some(Place::Stored(from)) = chunk.as_ref().map(|chunk| chunk.get(index))
                && is_here(from)
            {
                let data = self.fetch(&[*from])?.pop().ok_or(Errno::IO)?;
                moves.push(Move { ino, block, from: *from, data });
            }
        }
        Ok(moves)
    }

    /// What the blocks of a segment were.
    async fn listed(&self, number: u64, segment: &Segment) -> Result<Vec<Listed>, Errno> {
        let part = |offset: u64| u32::try_from(offset).map_err(|_| Errno::IO);
        let range = part(segment.size)?..part(segment.object)?;
        let prefix = &self.store.prefix;
        let end = segment::read(&self.store, prefix, number, range).await.map_err(|error| {
            let error = crate::error::reason(&error);
            tracing::error!(segment = format_args!("{number:016x}"), error, "cannot read a segment's list");
            Errno::IO
        })?;
        segment::list(&end).ok_or_else(|| {
            tracing::error!(segment = format_args!("{number:016x}"), "the volume is damaged: a segment has no list");
            Errno::IO
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mostly_dead_and_little_segments_are_chosen() {
        let segment = |size, live| Segment { size, object: size + 100, live, dead_since: 0 };
        let mib = 1 << 20;
        let mut segments = vec![
            (1, segment(8 * mib, 3 * mib)),
            (2, segment(8 * mib, 4 * mib)),
            (3, segment(8 * mib, 0)),
            (4, segment(mib, 9)),
        ];
        let chosen = |segments: &[(u64, Segment)]| choose(segments, 1).into_iter().map(|(n, _)| n).collect::<Vec<_>>();
        assert_eq!(chosen(&segments), [4, 1]);
        segments.extend((10..10 + MANY as u64).map(|number| (number, segment(1000, 1000))));
        assert_eq!(chosen(&segments).len(), 2 + MANY);
        segments.pop();
        assert_eq!(chosen(&segments).len(), 2);
    }
}
