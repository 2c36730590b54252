//! What FDs stand for.
//!
//! Entries are recycled: when the last reference goes, the memory goes to a list of its connection, so that walking and
//! closing do not allocate.

use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;

use parking_lot::Mutex;

use super::file_type;
use super::tree::Node;
use crate::backend::{self, Access, ControlBox, Errno, OpenBox, Result};

/// A control FD.
pub(super) struct Control {
    /// The file.
    pub(super) file: ControlBox,
    /// Its type, which never changes.
    pub(super) file_type: u32,
    /// Its position, on connections with locks.
    pub(super) node: Option<Arc<Node>>,
}

impl Control {
    /// Whether this is a directory.
    pub(super) fn is_dir(&self) -> bool {
        self.file_type == file_type::DIRECTORY
    }

    /// Whether the name is known to be gone.
    pub(super) fn is_deleted(&self) -> bool {
        self.node.as_ref().is_some_and(|node| node.is_deleted())
    }
}

/// An open FD.
pub(super) struct Open {
    /// The file.
    pub(super) file: OpenBox,
    /// Its type, which never changes.
    pub(super) file_type: u32,
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
    /// The socket.
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
struct Entry(Option<(Content, Arc<Pool>)>);

/// Empty entries of a connection.
#[derive(Default)]
pub(super) struct Pool(Mutex<Vec<Arc<Entry>>>);

impl Pool {
    /// Enough for what a client closes at once.
    const MOST: usize = 512;

    /// Puts `content` into an entry.
    pub(super) fn entry(self: &Arc<Self>, content: Content) -> EntryRef {
        let filled = Some((content, self.clone()));
        let free = self.0.lock().pop();
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

    fn give_back(&self, entry: Arc<Entry>) {
        let mut free = self.0.lock();
        if free.len() < Self::MOST {
            free.push(entry);
        }
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
            None => Err(Errno::INVAL),
        }
    }
}

impl Drop for EntryRef {
    fn drop(&mut self) {
        let Some(mut entry) = self.0.take() else { return };
        // If two threads drop the last two references at once, neither may be alone here: then the memory is freed.
        if let Some(Entry(content)) = Arc::get_mut(&mut entry)
            && let Some((content, pool)) = content.take()
        {
            pool.give_back(entry);
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
