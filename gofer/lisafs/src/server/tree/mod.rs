//! Positions in the tree, for backends whose calls are made under its locks.
//!
//! A node stands for one position, whoever looks at it: all control FDs on it share the node, also those of other
//! connections. A node keeps its parent alive, while the parent only remembers its children: a position that no FD is
//! on, or below, is forgotten. Nothing here is recursive, since a client can make the tree as deep as it likes.
//!
//! The type of a node is fixed as far as it is a directory or not. If something outside has put a file in a
//! directory's place, or the other way round, the new file gets a new node. That is what makes the order of locks
//! reliable.

mod locks;
mod node;

pub(super) use locks::{read_data, step, write_data};
pub(super) use node::Node;

use std::sync::Arc;

use crate::backend::{Error, Name, Result};
use crate::sync::RwLock;

/// The tree of a server.
#[derive(Debug)]
pub(super) struct Tree {
    /// Held exclusively while positions change.
    rename: RwLock<()>,
    root: Arc<Node>,
}

/// A name in a directory.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    /// The directory.
    pub(super) dir: &'a Arc<Node>,
    pub(super) name: &'a [u8],
}

impl Tree {
    /// A tree of which nothing is known.
    pub(super) fn new() -> Self {
        Tree { rename: RwLock::new(()), root: Node::detached(true) }
    }

    /// Calls `attach` while nobody writes to the position `path`, and answers with its node, which is for a directory
    /// or not. `ENOENT` if a directory on the way was removed.
    pub(super) fn mount<R>(
        &self,
        path: &MountPath,
        attach: impl FnOnce() -> Result<R>,
        is_dir: impl FnOnce(&R) -> bool,
    ) -> Result<(R, Arc<Node>)> {
        self.walk(|| match &path.0 {
            None => {
                let root = step(&self.root, attach)?;
                let node = if is_dir(&root) { self.root.clone() } else { Node::detached(false) };
                Ok((root, node))
            }
            Some((name, parent)) => step(parent, || {
                if parent.is_deleted() {
                    return Err(Error::NOENT);
                }
                let root = match parent.known_child(name) {
                    Some(node) => step(&node, attach)?,
                    None => attach()?,
                };
                let node = Node::child(parent, name, is_dir(&root));
                Ok((root, node))
            }),
        })
    }

    /// The position of a mount. Makes nodes of the directories on the way.
    pub(super) fn mount_path(&self, path: &[u8]) -> Result<MountPath> {
        let mut components = path.strip_prefix(b"/").ok_or(Error::INVAL)?.split(|byte| *byte == b'/');
        let mut last: Option<&[u8]> = None;
        let _no_renames = self.rename.read();
        let mut parent = self.root.clone();
        while let Some(component) = components.find(|component| !component.is_empty()) {
            let component = Name::new(component)?.as_bytes();
            if let Some(dir) = last.replace(component) {
                parent = Node::child(&parent, dir, true);
            }
        }
        Ok(MountPath(last.map(|last| (last.into(), parent))))
    }
}

/// Where a mount is: nothing for the root of the tree, or a name in a directory.
#[derive(Debug)]
pub(super) struct MountPath(Option<(Box<[u8]>, Arc<Node>)>);

/// Records that `place` was removed.
pub(super) fn removed(place: Place<'_>) {
    if let Some(node) = place.dir.take_child(place.name) {
        node.mark_deleted();
    }
}

/// Records that `from` was renamed to `to`, and what stood there replaced.
pub(super) fn renamed(from: Place<'_>, to: Place<'_>) {
    removed(to);
    if let Some(node) = from.dir.take_child(from.name) {
        node.put(to);
    }
}

/// Records that `one` and `other` were exchanged.
pub(super) fn exchanged(one: Place<'_>, other: Place<'_>) {
    let (from_one, from_other) = (one.dir.take_child(one.name), other.dir.take_child(other.name));
    if let Some(node) = from_one {
        node.put(other);
    }
    if let Some(node) = from_other {
        node.put(one);
    }
}

#[cfg(all(test, loom))]
mod model;
#[cfg(all(test, not(loom)))]
mod tests;
