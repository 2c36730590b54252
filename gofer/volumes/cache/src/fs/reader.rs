//! The backend's open files and directories.

use std::sync::Arc;

use lisafs::backend::{IoTarget, OpenBox, OpenHow, Result};
use once_cell::sync::OnceCell;

use super::Volume;
use super::node::Node;
use crate::store::Source;

/// What the backend has open, or opens when it is needed.
pub(super) struct Reader {
    volume: Arc<Volume>,
    node: Arc<Node>,
    how: OpenHow,
    inner: OnceCell<OpenBox>,
}

impl Reader {
    /// What the backend has still to open.
    pub(super) fn new(volume: Arc<Volume>, node: Arc<Node>, how: OpenHow) -> Self {
        Reader { volume, node, how, inner: OnceCell::new() }
    }

    /// What the backend has opened already.
    pub(super) fn with(volume: Arc<Volume>, node: Arc<Node>, how: OpenHow, inner: OpenBox) -> Self {
        Reader { volume, node, how, inner: OnceCell::with_value(inner) }
    }

    /// What the backend has opened.
    pub(super) fn opened(&self) -> Result<&OpenBox> {
        // What was donated would lead past the cache.
        self.inner.get_or_try_init(|| Ok(self.volume.with_room(|| self.node.inner.open(self.how))?.file))
    }

    /// The same, if that has happened already.
    pub(super) fn get(&self) -> Option<&OpenBox> {
        self.inner.get()
    }

    /// Whether reading leaves the time of access.
    pub(super) fn leaves_atime(&self) -> bool {
        self.how.no_atime
    }
}

impl Source for Reader {
    fn read_at(&self, into: IoTarget<'_>, offset: u64) -> Result<usize> {
        self.opened()?.read_at(into, offset)
    }
}
