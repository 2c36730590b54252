//! Positions, and walking from one to the next.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use lisafs::backend::{ControlBox, Errno, Error, FileType, Found, Name, Result, Statx};

use super::Volume;
use super::back::Unsaved;
use super::inode::{Inode, Place, identity};

/// A name in a directory.
pub(super) type Entry = (Arc<Node>, Box<[u8]>);

/// A position in the backend's tree.
pub(super) struct Node {
    pub(super) inode: Arc<Inode>,
    pub(super) inner: ControlBox,
    /// Where it was found.
    place: Option<Entry>,
    /// It may be elsewhere by now.
    has_moved: AtomicBool,
}

impl Drop for Node {
    fn drop(&mut self) {
        // One after the other: a tree can be deeper than the stack.
        let mut place = self.place.take();
        while let Some((dir, _)) = place {
            place = Arc::into_inner(dir).and_then(|mut dir| dir.place.take());
        }
    }
}

/// A position that a client has, or by which it has the file open.
pub(super) struct Taken(Arc<Node>);

impl Taken {
    pub(super) fn new(node: Arc<Node>) -> Self {
        node.inode.take();
        Taken(node)
    }
}

impl std::ops::Deref for Taken {
    type Target = Arc<Node>;

    fn deref(&self) -> &Arc<Node> {
        &self.0
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.0.inode.release();
    }
}

impl Node {
    /// Somebody here has renamed it.
    pub(super) fn moved(&self) {
        self.has_moved.store(true, Ordering::Relaxed);
        self.inode.tell(None);
    }

    /// Where it was found, unless somebody here has renamed it since.
    fn current_place(&self) -> Option<&Entry> {
        self.place.as_ref().filter(|_| !self.has_moved.load(Ordering::Relaxed))
    }
}

impl Volume {
    /// Attributes that `ask` gets, with what only the cache has.
    pub(super) fn seen(&self, inode: &Inode, ask: impl FnOnce() -> Result<Statx>) -> Result<Statx> {
        let unsaved = inode.pending.unsaved();
        Ok(Unsaved::onto(unsaved.as_ref(), ask()?))
    }

    /// Attributes that the backend was asked for at `asked` or later, with what only the cache has.
    pub(super) fn whole(&self, asked: u64, node: &Node, stat: Statx) -> Result<Statx> {
        if self.back.is_none() {
            return Ok(stat);
        }
        match node.inode.pending.unsaved() {
            // They may be from before an upload.
            None if node.inode.keep(asked).is_none() => self.seen(&node.inode, || node.inner.stat()),
            unsaved => Ok(Unsaved::onto(unsaved.as_ref(), stat)),
        }
    }

    /// A file of the backend, found at `place`.
    pub(super) fn node(&self, found: Found, place: Option<(Arc<Node>, &[u8])>) -> (Arc<Node>, Statx) {
        let Found { file, stat, .. } = found;
        let place = place.map(|(dir, name)| (dir, name.into()));
        let inode = self.inodes.get(&stat);
        (Arc::new(Node { inode, inner: file, place, has_moved: AtomicBool::default() }), stat)
    }

    /// The entry `name` of `dir`, whose attributes may have to be asked for.
    fn known(&self, dir: &Node, name: &[u8]) -> Option<Option<Arc<Node>>> {
        self.names.get(dir.inode.number, name).and_then(|entry| entry.get(self).cloned())
    }

    /// Walks from `dir` to `name`.
    pub(super) fn walk(&self, dir: &Arc<Node>, name: Name<'_>) -> Result<(Arc<Node>, Statx)> {
        if self.keeps_names {
            match self.known(dir, name.as_bytes()) {
                Some(Some(node)) => {
                    self.store.stats.metadata_hits.add(1);
                    // A directory could be told of in one that is below it by now.
                    if !self.is_exclusive() && node.inode.kind == Some(FileType::Regular) {
                        node.inode.tell(Some((dir.clone(), name.as_bytes().into())));
                    }
                    let stat = node.inode.stat(self, || node.inner.stat())?;
                    return Ok((node, stat));
                }
                Some(None) => {
                    self.store.stats.metadata_hits.add(1);
                    return Err(Error::NOENT);
                }
                None => {}
            }
        }
        self.walk_inner(dir, name)
    }

    /// The same, asking the backend.
    pub(super) fn walk_inner(&self, dir: &Arc<Node>, name: Name<'_>) -> Result<(Arc<Node>, Statx)> {
        self.store.stats.metadata_misses.add(1);
        let asked = self.inodes.now();
        match self.with_room(|| dir.inner.walk(name)) {
            Ok(found) => {
                let (node, stat) = self.node(found, Some((dir.clone(), name.as_bytes())));
                node.inode.keep_stat(asked, &stat);
                self.keep_name(dir, asked, name, Some(node.clone()));
                Ok((node, stat))
            }
            Err(error) if error == Errno::NOENT => {
                self.keep_name(dir, asked, name, None);
                Err(error)
            }
            Err(error) => Err(error),
        }
    }

    fn keep_name(&self, dir: &Node, asked: u64, name: Name<'_>, node: Option<Arc<Node>>) {
        if !self.keeps_names {
            return;
        }
        if let Some(meta) = dir.inode.keep(asked) {
            if let Some(node) = &node {
                node.inode.put(Place::In(dir.inode.clone(), name.as_bytes().into()));
            }
            self.names.put(dir.inode.number, name.as_bytes(), node);
            drop(meta);
        }
    }

    /// Whether it is known from memory that `name` in `dir` leads to the file of `node`.
    fn leads_to(&self, dir: &Node, name: &[u8], node: &Node) -> bool {
        self.known(dir, name).flatten().is_some_and(|known| Arc::ptr_eq(&known.inode, &node.inode))
    }

    /// A file is about to be opened of which nothing is kept. `ESTALE` as from [`stat_to_open`](Self::stat_to_open).
    pub(super) fn check_name(&self, node: &Arc<Node>) -> Result<()> {
        let is_known = || node.current_place().is_some_and(|(dir, name)| self.leads_to(dir, name, node));
        if self.is_exclusive() || !node.inode.is_told() && !is_known() {
            return Ok(());
        }
        self.stat_to_open(node).map(drop)
    }

    /// The attributes of a file that is about to be opened, asked for where others may have changed it. `ESTALE` if its
    /// name leads elsewhere by now, of which the client must hear; a kernel then looks it up again.
    pub(super) fn stat_to_open(&self, node: &Arc<Node>) -> Result<Statx> {
        if self.is_exclusive() {
            return node.inode.stat(self, || node.inner.stat());
        }
        self.store.stats.metadata_misses.add(1);
        let asked = self.inodes.now();
        // The client may have been told of it by another name than that by which it has the position.
        let told = node.inode.told();
        let is_told = told.is_some();
        if let Some((dir, name)) = told.or_else(|| node.current_place().cloned())
            && let Ok(known) = Name::new(&name)
        {
            let is_known = is_told || self.leads_to(&dir, &name, node);
            match self.with_room(|| dir.inner.walk(known)) {
                Ok(found) if identity(&found.stat) == node.inode.identity => {
                    node.inode.keep_stat(asked, &found.stat);
                    return Ok(found.stat);
                }
                Err(error) if error != Errno::NOENT => return Err(error),
                // Whoever opens it may have been told of it when others had replaced it already. Said once: who is told
                // of it anew knows better, and who insists knows it by another name, or has it open.
                _ if is_known => {
                    node.inode.tell(None);
                    self.names.remove(dir.inode.number, &name);
                    return Err(Error::STALE);
                }
                _ => {}
            }
        }
        let stat = node.inner.stat()?;
        node.inode.keep_stat(asked, &stat);
        Ok(stat)
    }
}
