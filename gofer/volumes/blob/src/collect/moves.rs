//! Moving blocks to new segments, as a part of a commit.
//!
//! Between two commits nobody but the thread that commits changes where blocks are, and no file is on its way out of
//! the database: that is when moves are made ready.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::node::{Data, Dirty, Node};
use crate::record::{CHUNK_BLOCKS, Chunk, Place, Stored};
use crate::volume::Volume;
use crate::{Errno, key};

/// A block that is to be written again as it is.
pub(crate) struct Move {
    pub(crate) ino: u64,
    pub(crate) block: u64,
    /// Where it is. If it is elsewhere meanwhile, there is nothing to do.
    pub(crate) from: Stored,
    pub(crate) data: Data,
}

/// The moves of one file.
pub(crate) struct NodeMoves {
    node: Arc<Node>,
    moves: Vec<Move>,
}

impl Volume {
    /// Takes the moves that are wanted, and looks which still make sense. Only for the thread that commits, between
    /// commits.
    pub(crate) fn prepare_moves(self: &Arc<Self>) -> Vec<NodeMoves> {
        let mut files: BTreeMap<u64, Vec<Move>> = BTreeMap::new();
        for it in std::mem::take(&mut *self.collector.moves.lock()) {
            files.entry(it.ino).or_default().push(it);
        }
        // What cannot be read now is moved another time.
        files.into_iter().filter_map(|(ino, moves)| self.prepare_file(ino, moves).ok().flatten()).collect()
    }

    fn prepare_file(self: &Arc<Self>, ino: u64, mut moves: Vec<Move>) -> Result<Option<NodeMoves>, Errno> {
        let Some(node) = self.live(ino)? else { return Ok(None) };
        let mut chunks: BTreeMap<u64, Chunk> = BTreeMap::new();
        for number in moves.iter().map(|it| it.block / CHUNK_BLOCKS) {
            if let std::collections::btree_map::Entry::Vacant(entry) = chunks.entry(number) {
                let chunk: Option<Chunk> = self.wait(self.meta.record("chunk", &key::chunk(ino, number)))?;
                entry.insert(chunk.unwrap_or_default());
            }
        }
        moves.retain(|it| {
            let index = usize::try_from(it.block % CHUNK_BLOCKS).unwrap_or_default();
            chunks.get(&(it.block / CHUNK_BLOCKS)).is_some_and(|chunk| *chunk.get(index) == Place::Stored(it.from))
        });
        Ok((!moves.is_empty()).then_some(NodeMoves { node, moves }))
    }

    /// Has the commit that begins write the blocks. The caller holds the barrier for writing.
    pub(crate) fn begin_moves(&self, files: Vec<NodeMoves>) {
        for NodeMoves { node, moves } in files {
            let mut state = node.lock();
            let limit = state.limit();
            for it in moves.into_iter().filter(|it| it.block < limit) {
                let bytes = it.data.len() as u64;
                // What has changed since is written anyway.
                if let std::collections::btree_map::Entry::Vacant(entry) = state.dirty.entry(it.block) {
                    entry.insert(Dirty { data: Some(it.data) });
                    self.commits.waits(bytes, 0);
                }
            }
            drop(state);
            self.write_too(&node);
        }
    }
}
