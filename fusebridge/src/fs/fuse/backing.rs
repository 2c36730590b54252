//! Which way each open file's data goes.
//!
//! The kernel wants one answer for each inode as long as it is open: with one backing file for all who have it open, or
//! with none. So whoever opens it first decides.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::fs::identity::NodeId;

enum Way<B> {
    /// The kernel reads and writes this file.
    Backed(Arc<B>),
    /// The kernel asks us.
    Asked,
}

struct OpenNode<B> {
    way: Way<B>,
    handles: u32,
}

/// The open files of a mount, whose backing files are known to the kernel as `B`.
pub(super) struct Backings<B>(Mutex<HashMap<NodeId, OpenNode<B>>>);

impl<B> Default for Backings<B> {
    fn default() -> Self {
        Backings(Mutex::default())
    }
}

impl<B> Backings<B> {
    /// Counts one more handle on `id`. `register` is called if it is the first: its answer decides.
    pub(super) fn open(&self, id: NodeId, register: impl FnOnce() -> Option<B>) -> Option<Arc<B>> {
        let mut nodes = self.0.lock();
        let node = nodes.entry(id).or_insert_with(|| OpenNode {
            way: register().map_or(Way::Asked, |backing| Way::Backed(Arc::new(backing))),
            handles: 0,
        });
        node.handles += 1;
        match &node.way {
            Way::Backed(backing) => Some(backing.clone()),
            Way::Asked => None,
        }
    }

    /// Counts one handle less.
    pub(super) fn release(&self, id: NodeId) {
        let mut nodes = self.0.lock();
        if let Some(node) = nodes.get_mut(&id) {
            node.handles -= 1;
            if node.handles == 0 {
                nodes.remove(&id);
            }
        }
    }
}
