//! Looking for data and holes, without reading either.

use lisafs::backend::SeekTo;

use crate::node::{Dirty, Node};
use crate::record::{CHUNK_BLOCKS, Chunk, decode};
use crate::volume::Volume;
use crate::{Errno, key};

/// Chunks that are looked at, at once.
const PAGE: usize = 256;

/// Blocks of a file that hold something, and how many bytes from their beginning on.
type Held = Vec<(u64, u64)>;

/// A search that goes from block to block.
struct Search {
    what: SeekTo,
    /// No byte before this is what is looked for.
    at: u64,
    /// Bytes of a block.
    block: u64,
}

impl Search {
    /// Looks at blocks in order, in which all that hold something are up to the last. Where the search ends, unless it
    /// goes on behind them.
    fn look(&mut self, blocks: &Held) -> Option<u64> {
        for (block, held) in blocks.iter().filter(|(_, held)| *held > 0) {
            let start = block * self.block;
            let end = start + held;
            if end <= self.at {
                continue;
            }
            match self.what {
                SeekTo::Data => return Some(self.at.max(start)),
                SeekTo::Hole if start > self.at => return Some(self.at),
                SeekTo::Hole => self.at = end,
            }
        }
        None
    }
}

impl Volume {
    /// The first byte of data or of a hole from `offset` on. The end of a file counts as a hole.
    pub(crate) fn seek(&self, node: &Node, offset: u64, what: SeekTo) -> Result<u64, Errno> {
        loop {
            self.refresh(node)?;
            let (size, found) = self.search(node, offset, what)?;
            if self.wait(self.has_moved_on(node))? {
                continue;
            }
            return match found {
                Some(found) if found < size => Ok(found),
                _ if what == SeekTo::Hole && offset < size => Ok(size),
                _ => Err(Errno::NXIO),
            };
        }
    }

    /// The file's size, and where the search ends; nothing if it does not before the file.
    fn search(&self, node: &Node, offset: u64, what: SeekTo) -> Result<(u64, Option<u64>), Errno> {
        let first = offset / self.block();
        // First: what a commit writes meanwhile is then in both, not in neither.
        let (size, limit, dirty) = {
            let state = node.lock();
            let held = |(block, dirty): (&u64, &Dirty)| (*block, dirty.held());
            (state.inode.size, state.limit(), state.dirty.range(first..).map(held).collect::<Held>())
        };
        let mut search = Search { what, at: offset, block: self.block() };
        if offset >= size {
            return Ok((size, None));
        }
        let mut changed = dirty.iter().copied().peekable();
        let mut range = key::chunks_from(node.ino, first / CHUNK_BLOCKS);
        let mut is_more = first < limit;
        while is_more {
            let page = self.scan(&range, PAGE)?;
            let mut blocks = Held::new();
            let mut end = 0;
            for (key, value) in &page.records {
                let (_, number) = key::chunk_of(key).ok_or(Errno::IO)?;
                let chunk: Chunk = decode("chunk", value)?;
                let places = chunk.places().map(|(index, place)| (number * CHUNK_BLOCKS + index as u64, place.held()));
                blocks.extend(places.filter(|(block, _)| {
                    *block < limit && dirty.binary_search_by_key(block, |(block, _)| *block).is_err()
                }));
                end = (number + 1) * CHUNK_BLOCKS;
            }
            match page.next {
                Some(next) => range.start = next,
                None => (end, is_more) = (limit, false),
            }
            while let Some(block) = changed.next_if(|(block, _)| *block < end) {
                blocks.push(block);
            }
            blocks.sort_unstable();
            if let Some(found) = search.look(&blocks) {
                return Ok((size, Some(found)));
            }
            // A hole that no block ends is behind all that were looked at.
        }
        let found = search.look(&changed.collect());
        let behind = (what == SeekTo::Hole).then_some(search.at);
        Ok((size, found.or(behind)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_are_between_blocks_and_behind_what_they_hold() {
        let blocks = vec![(1, 10), (2, 10), (4, 3), (5, 10), (7, 0)];
        let seek = |at, what| {
            let mut search = Search { what, at, block: 10 };
            search.look(&blocks).ok_or(search.at)
        };
        for (at, data) in [(0, 10), (10, 10), (25, 25), (30, 40), (42, 42), (43, 50)] {
            assert_eq!(seek(at, SeekTo::Data), Ok(data), "{at}");
        }
        assert_eq!(seek(60, SeekTo::Data), Err(60));
        for (at, hole) in [(0, 0), (10, 30), (35, 35), (40, 43), (43, 43)] {
            assert_eq!(seek(at, SeekTo::Hole), Ok(hole), "{at}");
        }
        assert_eq!((seek(55, SeekTo::Hole), seek(60, SeekTo::Hole)), (Err(60), Err(60)));
    }
}
