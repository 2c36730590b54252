//! What is remembered of files.

use lisafs::wire::{FileType, Statx};

use super::Nodes;
use crate::fs::ahead::Content;
use crate::fs::identity::NodeId;
use crate::fs::names::Name;

/// The set-group-id bit.
pub(super) const SET_GID: u16 = 0o2000;

/// What a directory passes on to new files in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inheritance {
    /// Its group, if the set-group-id bit is on.
    pub gid: Option<u32>,
}

impl<F> Nodes<F> {
    /// What new files in directory `id` inherit, as of the attributes seen last.
    pub fn inheritance(&self, id: NodeId) -> Inheritance {
        let node = self.nodes.get(&id);
        Inheritance { gid: node.filter(|node| node.mode & SET_GID != 0).map(|node| node.gid) }
    }

    /// How large `id` was when it was last looked at.
    pub fn size(&self, id: NodeId) -> Option<u64> {
        self.nodes.get(&id).map(|node| node.size)
    }

    /// What is known of the content of `id`.
    pub fn content(&self, id: NodeId) -> Option<Content> {
        self.nodes.get(&id).map(|node| Content { version: node.version, size: node.size })
    }

    /// Its content is another one than before.
    pub fn content_changes(&mut self, id: NodeId) {
        if let Some(node) = self.nodes.get_mut(&id) {
            node.version += 1;
        }
    }

    /// What type of file `id` is.
    pub fn file_type(&self, id: NodeId) -> Option<FileType> {
        self.nodes.get(&id).and_then(|node| node.file_type)
    }

    /// Whether `id` may change without the kernel telling.
    pub fn changes_unseen(&self, id: NodeId) -> bool {
        self.nodes.get(&id).is_some_and(|node| node.changes_unseen)
    }

    /// Whether `id` may change without the kernel telling, though nobody has it open.
    pub fn is_closed_but_unseen(&self, id: NodeId) -> bool {
        self.nodes.get(&id).is_some_and(|node| node.changes_unseen && node.handles == 0)
    }

    /// Remembers whether `id` may change without the kernel telling. Returns whether it could before.
    pub fn set_changes_unseen(&mut self, id: NodeId, changes: bool) -> bool {
        self.nodes.get_mut(&id).is_some_and(|node| std::mem::replace(&mut node.changes_unseen, changes))
    }

    /// Where the kernel may believe that `id` ends: not before this.
    pub fn least_end(&self, id: NodeId) -> Option<u64> {
        self.nodes.get(&id).map(|node| node.end)
    }

    /// Remembers that `id` is at least `size` large, and that the kernel knows.
    pub fn grown(&mut self, id: NodeId, size: u64) {
        if let Some(node) = self.nodes.get_mut(&id) {
            node.size = node.size.max(size);
            node.end = node.end.max(size);
        }
    }

    /// One of the names of `id`.
    pub fn name(&self, id: NodeId) -> Option<Name> {
        self.nodes.get(&id)?.names.first().cloned()
    }

    /// Whether somebody has `id` open.
    pub fn is_open(&self, id: NodeId) -> bool {
        self.nodes.get(&id).is_some_and(|node| node.handles > 0)
    }

    /// Whether `id` is on the same device as the root.
    pub fn is_on_root_device(&self, id: NodeId) -> bool {
        let device = |id| self.nodes.get(&id).map(|node| node.identity.dev);
        device(id) == device(NodeId::ROOT)
    }

    /// Remembers what `stat` says of `id`. `false` if it is another type of file than before, which cannot be.
    pub fn see(&mut self, id: NodeId, stat: &Statx) -> bool {
        self.nodes.get_mut(&id).is_none_or(|node| {
            node.see(stat);
            node.file_type == stat.file_type()
        })
    }

    /// The mode of `id` as seen last, and whether it is known to have no file capabilities.
    pub fn privileges(&self, id: NodeId) -> (u16, bool) {
        self.nodes.get(&id).map_or((0, false), |node| (node.mode, node.no_capabilities))
    }

    /// Whether `id` is known to have no file capabilities.
    pub fn has_no_capabilities(&self, id: NodeId) -> bool {
        self.nodes.get(&id).is_some_and(|node| node.no_capabilities)
    }

    /// Remembers whether `id` has no file capabilities.
    pub fn set_no_capabilities(&mut self, id: NodeId, none: bool) {
        if let Some(node) = self.nodes.get_mut(&id) {
            node.no_capabilities = none;
        }
    }
}
