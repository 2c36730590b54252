//! Calls under the locks of the tree.

use std::sync::Arc;

use super::{Node, Place, Tree};
use crate::backend::{Error, Result};

/// How often a caller steps back from a busy node before it waits with the rename lock in its hand.
const ATTEMPTS: usize = if cfg!(loom) { 1 } else { 100 };

impl Tree {
    /// Calls `f` while nothing is renamed and nobody writes to `node`.
    pub(crate) fn read<R>(&self, node: &Node, f: impl FnOnce() -> R) -> R {
        for _ in 0..ATTEMPTS {
            let no_renames = self.rename.read();
            if let Some(_guard) = node.lock.try_read() {
                return f();
            }
            drop(no_renames);
            drop(node.lock.read());
        }
        let _no_renames = self.rename.read();
        let _guard = node.lock.read();
        f()
    }

    /// Calls `f` while nothing is renamed and nobody else uses `node`.
    pub(crate) fn write<R>(&self, node: &Node, f: impl FnOnce() -> R) -> R {
        for _ in 0..ATTEMPTS {
            let no_renames = self.rename.read();
            if let Some(_guard) = node.lock.try_write() {
                return f();
            }
            drop(no_renames);
            drop(node.lock.write());
        }
        let _no_renames = self.rename.read();
        let _guard = node.lock.write();
        f()
    }

    /// Calls `f` while nothing is renamed; `f` takes locks of nodes one at a time with [`step`].
    pub(crate) fn walk<R>(&self, f: impl FnOnce() -> R) -> R {
        let _no_renames = self.rename.read();
        f()
    }

    /// As [`Tree::write`] on the directory `dir`, and nobody writes to the file `target` either.
    pub(crate) fn write_and_read<R>(&self, dir: &Node, target: &Node, f: impl FnOnce() -> R) -> R {
        for _ in 0..ATTEMPTS {
            let no_renames = self.rename.read();
            let guard = dir.lock.try_write();
            if guard.is_some()
                && let Some(_target) = target.lock.try_read()
            {
                return f();
            }
            drop((guard, no_renames));
            drop(dir.lock.write());
            drop(target.lock.read());
        }
        let _no_renames = self.rename.read();
        let _guard = dir.lock.write();
        let _target = target.lock.read();
        f()
    }

    /// As [`Tree::write`] on the directory of `place`, and nobody else uses the file there if it is known.
    pub(crate) fn write_with_child<R>(&self, place: Place<'_>, f: impl FnOnce() -> R) -> R {
        for _ in 0..ATTEMPTS {
            let no_renames = self.rename.read();
            if let Some(guard) = place.dir.lock.try_write() {
                let Some(child) = place.dir.known_child(place.name) else { return f() };
                if let Some(_child) = child.lock.try_write() {
                    return f();
                }
                drop((guard, no_renames));
                drop(child.lock.write());
            } else {
                drop(no_renames);
                drop(place.dir.lock.write());
            }
        }
        let _no_renames = self.rename.read();
        let _guard = place.dir.lock.write();
        let child = place.dir.known_child(place.name);
        let _child = child.as_ref().map(|child| child.lock.write());
        f()
    }

    /// Calls `f` while nobody else makes a call on any position. `EINVAL` if a directory would get below itself.
    pub(crate) fn rename<R>(
        &self,
        from: Place<'_>,
        to: Place<'_>,
        exchange: bool,
        f: impl FnOnce(Known) -> Result<R>,
    ) -> Result<R> {
        let _alone = self.rename.write();
        let (source, target) = (from.dir.known_child(from.name), to.dir.known_child(to.name));
        let under = |node: &Option<Arc<Node>>, dir| node.as_ref().is_some_and(|node| node.contains(dir));
        if under(&source, to.dir) || exchange && under(&target, from.dir) {
            return Err(Error::INVAL);
        }
        f(Known { any: source.is_some() || target.is_some(), same: from.dir.is(to.dir) && from.name == to.name })
    }
}

/// What the tree knows about a rename.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    /// Whether a node has to be moved or marked at all.
    pub(crate) any: bool,
    /// Whether both names are one.
    pub(crate) same: bool,
}

/// Calls `f` while nobody writes to `node`. The caller may have the rename lock: does not queue up behind writers, who
/// wait without it.
pub(crate) fn step<R>(node: &Node, f: impl FnOnce() -> R) -> R {
    let _guard = node.lock.read_recursive();
    f()
}

/// Calls `f` while nobody writes to `node`. Renames go on.
pub(crate) fn read_data<R>(node: &Node, f: impl FnOnce() -> R) -> R {
    let _guard = node.lock.read();
    f()
}

/// Calls `f` while nobody else uses `node`. Renames go on.
pub(crate) fn write_data<R>(node: &Node, f: impl FnOnce() -> R) -> R {
    let _guard = node.lock.write();
    f()
}
