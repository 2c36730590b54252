//! One position.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use super::Place;
use crate::sync::{AtomicBool, Mutex, RwLock};

/// One position in the tree.
#[derive(Debug)]
pub(crate) struct Node {
    /// Tells nodes apart that have had the same name one after the other.
    id: u64,
    is_dir: bool,
    /// Held during calls on this position.
    pub(super) lock: RwLock<()>,
    deleted: AtomicBool,
    position: Mutex<Position>,
    children: Mutex<HashMap<Box<[u8]>, Child>>,
}

#[derive(Debug, Default)]
struct Position {
    parent: Option<Arc<Node>>,
    name: Box<[u8]>,
}

#[derive(Debug)]
struct Child {
    id: u64,
    node: Weak<Node>,
}

impl Node {
    /// A node that is nobody's child.
    pub(super) fn detached(is_dir: bool) -> Arc<Self> {
        Arc::new(Self::new(is_dir, Position::default()))
    }

    fn new(is_dir: bool, position: Position) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Node {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            is_dir,
            lock: RwLock::new(()),
            deleted: AtomicBool::new(false),
            position: Mutex::new(position),
            children: Mutex::default(),
        }
    }

    /// The node at `name` in `dir`, which may be known already.
    pub(crate) fn child(dir: &Arc<Node>, name: &[u8], is_dir: bool) -> Arc<Node> {
        let (known, fresh) = {
            let mut children = dir.children.lock();
            let known = children.get(name).and_then(|child| child.node.upgrade());
            if let Some(node) = &known
                && node.is_dir == is_dir
            {
                return node.clone();
            }
            (known, Self::insert(dir, &mut children, name, is_dir))
        };
        if let Some(replaced) = known {
            replaced.mark_deleted();
        }
        fresh
    }

    /// A node for a file that was just made at `name` in `dir`.
    pub(crate) fn new_child(dir: &Arc<Node>, name: &[u8], is_dir: bool) -> Arc<Node> {
        let gone = dir.take_child(name);
        let fresh = Self::insert(dir, &mut dir.children.lock(), name, is_dir);
        if let Some(gone) = gone {
            gone.mark_deleted();
        }
        fresh
    }

    fn insert(dir: &Arc<Node>, children: &mut HashMap<Box<[u8]>, Child>, name: &[u8], is_dir: bool) -> Arc<Node> {
        let node = Arc::new(Self::new(is_dir, Position { parent: Some(dir.clone()), name: name.into() }));
        children.insert(name.into(), Child { id: node.id, node: Arc::downgrade(&node) });
        node
    }

    /// The node at `name`, if it is known.
    pub(crate) fn known_child(&self, name: &[u8]) -> Option<Arc<Node>> {
        self.children.lock().get(name).and_then(|child| child.node.upgrade())
    }

    /// Takes the node at `name` out of this directory, if it is known.
    pub(super) fn take_child(&self, name: &[u8]) -> Option<Arc<Node>> {
        self.children.lock().remove(name).and_then(|child| child.node.upgrade())
    }

    /// Puts this node, which was taken out of its directory, to another place where there is none.
    pub(super) fn put(self: &Arc<Self>, place: Place<'_>) {
        let position = Position { parent: Some(place.dir.clone()), name: place.name.into() };
        let before = std::mem::replace(&mut *self.position.lock(), position);
        place.dir.children.lock().insert(place.name.into(), Child { id: self.id, node: Arc::downgrade(self) });
        drop(before);
    }

    /// Whether the file of this position was removed.
    pub(crate) fn is_deleted(&self) -> bool {
        self.deleted.load(Ordering::Acquire)
    }

    /// Records that this position and everything below it is gone.
    pub(super) fn mark_deleted(self: Arc<Self>) {
        let mut gone = vec![self];
        while let Some(node) = gone.pop() {
            node.deleted.store(true, Ordering::Release);
            let children = std::mem::take(&mut *node.children.lock());
            gone.extend(children.into_values().filter_map(|child| child.node.upgrade()));
        }
    }

    /// Whether `other` is this node or one below it. Positions must not change meanwhile.
    pub(super) fn contains(&self, other: &Arc<Node>) -> bool {
        let mut next = Some(other.clone());
        while let Some(node) = next {
            if node.id == self.id {
                return true;
            }
            next = node.position.lock().parent.clone();
        }
        false
    }

    /// Whether both are one node.
    pub(super) fn is(&self, other: &Node) -> bool {
        self.id == other.id
    }
}

impl Drop for Node {
    /// Forgets the node, and every directory above that nothing else needs.
    fn drop(&mut self) {
        let mut id = self.id;
        let mut position = std::mem::take(self.position.get_mut());
        while let Some(parent) = position.parent {
            {
                let mut children = parent.children.lock();
                // By now there may be another node of this name.
                if children.get(&position.name).is_some_and(|child| child.id == id) {
                    children.remove(&position.name);
                }
            }
            let Some(mut parent) = Arc::into_inner(parent) else { return };
            id = parent.id;
            position = std::mem::take(parent.position.get_mut());
        }
    }
}
