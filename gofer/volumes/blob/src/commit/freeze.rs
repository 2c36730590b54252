//! What a commit writes: all changes up to a moment.

use std::collections::HashMap;
use std::sync::Arc;

use slatedb::WriteBatch;

use crate::collect::NodeMoves;
use crate::node::{Data, Node};
use crate::overlay::Changes;
use crate::record::{Inode, Place, State};
use crate::volume::{NODE, Volume};

/// All changes up to a moment.
pub(crate) struct Frozen {
    /// Names and attributes.
    pub(crate) changes: Arc<Changes>,
    /// Bytes that it was said to take, without data.
    pub(crate) size: u64,
    pub(crate) files: Vec<FrozenFile>,
    /// Files that are to be deleted.
    pub(crate) doomed: Vec<u64>,
    /// The volume's counters.
    pub(crate) state: State,
    /// Bytes of the new segments, by their numbers.
    pub(crate) objects: HashMap<u64, u64>,
    /// Whether the blocks have their places.
    pub(crate) is_placed: bool,
    /// All of it for the database, once that is known.
    pub(crate) batch: Option<WriteBatch>,
    /// Whether the database has seen it.
    pub(crate) is_applied: bool,
}

/// A file as it was at that moment.
pub(crate) struct FrozenFile {
    pub(crate) node: Arc<Node>,
    pub(crate) inode: Inode,
    pub(crate) blocks: Vec<FrozenBlock>,
    /// Blocks from here on go from the database, before `blocks` come.
    pub(crate) keep: u64,
    /// Blocks from here on are not in the database.
    pub(crate) committed: u64,
}

/// A block as it was at that moment.
pub(crate) struct FrozenBlock {
    pub(crate) number: u64,
    /// `None` is a hole.
    pub(crate) data: Option<Data>,
    /// Where it goes.
    pub(crate) place: Place,
}

impl Volume {
    /// Takes all that has changed, and `moves`. Others can go on while it is written.
    pub(crate) fn freeze(&self, moves: Vec<NodeMoves>) -> Frozen {
        let barrier = self.barrier.write();
        self.begin_moves(moves);
        let (changes, mut size) = self.overlay.freeze();
        let mut files = Vec::new();
        for node in self.take_dirty() {
            size += NODE;
            if Arc::strong_count(&node) == 1 && node.lock().inode.nlink == 0 {
                // Nobody has it but this, and nobody can find it: dropping it dooms it.
                continue;
            }
            files.push(self.freeze_file(node));
        }
        let (doomed, state) = self.take_doomed();
        drop(barrier);
        Frozen {
            changes,
            size,
            files,
            doomed,
            state,
            objects: HashMap::new(),
            is_placed: false,
            batch: None,
            is_applied: false,
        }
    }

    fn freeze_file(&self, node: Arc<Node>) -> FrozenFile {
        let mut state = node.lock();
        let inode = state.inode.clone();
        let block = |(number, dirty): (&u64, &crate::node::Dirty)| FrozenBlock {
            number: *number,
            data: dirty.data.clone(),
            place: Place::Hole,
        };
        let blocks = state.dirty.iter().map(block).collect();
        let (keep, committed) = (state.keep, state.committed);
        state.next_keep = u64::MAX;
        if inode.is(crate::record::S_IFREG) {
            state.committed = committed.max(inode.size.div_ceil(self.block()));
        }
        drop(state);
        FrozenFile { node, inode, blocks, keep, committed }
    }
}
