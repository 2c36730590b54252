//! What FDs stand for.
//!
//! Entries are recycled: when the last reference goes, the memory goes to a list of its connection, so that walking and
//! closing do not allocate.

use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::tree::Node;
use crate::backend::{self, Access, ControlBox, Error, FileType, OpenBox, Result};

/// A control FD.
pub(super) struct Control {
    pub(super) file: ControlBox,
    /// Its type, which never changes.
    pub(super) file_type: Option<FileType>,
    /// Its position, on connections with locks.
    pub(super) node: Option<Arc<Node>>,
}

impl Control {
    /// Whether this is a directory.
    pub(super) fn is_dir(&self) -> bool {
        self.file_type == Some(FileType::Directory)
    }

    /// Whether the name is known to be gone.
    pub(super) fn is_deleted(&self) -> bool {
        self.node.as_ref().is_some_and(|node| node.is_deleted())
    }
}

/// An open FD.
pub(super) struct Open {
    pub(super) file: OpenBox,
    /// Its type, which never changes.
    pub(super) file_type: Option<FileType>,
    /// What it was opened for.
    pub(super) access: Access,
    /// Where the next Getdents64 goes on, for a directory.
    pub(super) position: Mutex<u64>,
    /// Its position in the tree, on connections with locks.
    pub(super) node: Option<Arc<Node>>,
}

impl Open {
    /// Whether the name is known to be gone.
    pub(super) fn is_deleted(&self) -> bool {
        self.node.as_ref().is_some_and(|node| node.is_deleted())
    }
}

/// A bound-socket FD.
pub(super) struct BoundSocket {
    pub(super) socket: Box<dyn backend::BoundSocket>,
    /// Its file.
    pub(super) control: Held<Control>,
}

/// What one FD stands for.
pub(super) enum Content {
    /// A control FD.
    Control(Control),
    /// An open FD.
    Open(Open),
    /// A bound-socket FD.
    Socket(BoundSocket),
}

/// Memory for one FD; empty while it waits to be used again.
struct Entry(Option<(Content, Share)>);

/// How much of everything a connection has, and its empty entries.
pub(super) struct Pool {
    free: Mutex<Vec<Arc<Entry>>>,
    held: AtomicUsize,
    most: usize,
}

impl Pool {
    /// Enough for what a client closes at once.
    const MOST_FREE: usize = 512;

    /// For up to `most` entries that are not empty.
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Pool { free: Mutex::default(), held: AtomicUsize::new(0), most })
    }

    /// Takes the right to one more entry; `EMFILE` if the connection has its share.
    pub(super) fn reserve(self: &Arc<Self>) -> Result<Share> {
        let share = Share(self.clone());
        // It exists in any case, and its drop undoes the count.
        if self.held.fetch_add(1, Ordering::Relaxed) < self.most { Ok(share) } else { Err(Error::MFILE) }
    }

    fn give_back(&self, entry: Arc<Entry>) {
        let mut free = self.free.lock();
        if free.len() < Self::MOST_FREE {
            free.push(entry);
        }
    }
}

/// The right to one entry. What is in it is counted as long as it lives, which may be longer than its number works: a
/// bound socket keeps its file.
pub(super) struct Share(Arc<Pool>);

impl Share {
    /// Puts `content` into an entry.
    pub(super) fn fill(self, content: Content) -> EntryRef {
        let free = self.0.free.lock().pop();
        let filled = Some((content, self));
        let entry = match free {
            Some(mut entry) => match Arc::get_mut(&mut entry) {
                Some(empty) => {
                    empty.0 = filled;
                    entry
                }
                None => Arc::new(Entry(filled)),
            },
            None => Arc::new(Entry(filled)),
        };
        EntryRef(Some(entry))
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.0.held.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A reference to what an FD stands for.
#[derive(Clone)]
pub(super) struct EntryRef(Option<Arc<Entry>>);

impl EntryRef {
    /// What the FD stands for.
    pub(super) fn content(&self) -> &Content {
        match self.0.as_deref() {
            Some(Entry(Some((content, _)))) => content,
            _ => unreachable!("an entry is emptied with its last reference"),
        }
    }

    /// The same for one who needs a certain kind; `EINVAL` if it is another.
    pub(super) fn hold<K: Kind>(self) -> Result<Held<K>> {
        match K::of(self.content()) {
            Some(_) => Ok(Held(self, PhantomData)),
            None => Err(Error::INVAL),
        }
    }
}

impl Drop for EntryRef {
    fn drop(&mut self) {
        let Some(mut entry) = self.0.take() else { return };
        // If two threads drop the last two references at once, neither may be alone here: then the memory is freed.
        if let Some(Entry(content)) = Arc::get_mut(&mut entry)
            && let Some((content, share)) = content.take()
        {
            share.0.give_back(entry);
            drop(content);
        }
    }
}

/// A kind of FD.
pub(super) trait Kind: Sized {
    /// This kind's part of `content`, if it is of this kind.
    fn of(content: &Content) -> Option<&Self>;
}

impl Kind for Control {
    fn of(content: &Content) -> Option<&Self> {
        if let Content::Control(control) = content { Some(control) } else { None }
    }
}

impl Kind for Open {
    fn of(content: &Content) -> Option<&Self> {
        if let Content::Open(open) = content { Some(open) } else { None }
    }
}

impl Kind for BoundSocket {
    fn of(content: &Content) -> Option<&Self> {
        if let Content::Socket(socket) = content { Some(socket) } else { None }
    }
}

/// A reference to an FD of a certain kind.
pub(super) struct Held<K>(EntryRef, PhantomData<fn() -> K>);

impl<K: Kind> Deref for Held<K> {
    type Target = K;

    fn deref(&self) -> &K {
        match K::of(self.0.content()) {
            Some(kind) => kind,
            None => unreachable!("the kind was checked when the reference was made"),
        }
    }
}
