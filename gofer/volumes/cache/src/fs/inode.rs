//! Files by what they are.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use lisafs::backend::{FileType, Statx};
use parking_lot::Mutex;

use super::back::Pending;
use super::meta::Meta;
use super::node;
use super::reader::Reader;

/// Device and inode number.
pub(super) type Identity = (u32, u32, u64);

pub(super) fn identity(stat: &Statx) -> Identity {
    (stat.dev_major, stat.dev_minor, stat.ino)
}

/// A file, as long as somebody holds a position of it: so its number is not another file's.
pub(super) struct Inode {
    table: Arc<Inodes>,
    pub(super) identity: Identity,
    /// No other inode of the process ever has it.
    pub(super) number: u64,
    pub(super) kind: Option<FileType>,
    pub(super) meta: Mutex<Meta>,
    /// Open files that the backend has not opened yet.
    readers: Mutex<Vec<Weak<Reader>>>,
    /// Reading does not change the time of access.
    pub(super) keeps_atime: AtomicBool,
    /// Changes that the backend does not have.
    pub(super) pending: Pending,
    /// How many clients have the file open, or a position of it.
    uses: AtomicUsize,
    place: Mutex<Place>,
    /// The name that was last said to lead to it without asking the backend, where others may change that.
    told: Mutex<Option<node::Entry>>,
}

/// Where a file is in the tree, by one of its names.
#[derive(Clone, Default)]
pub(super) enum Place {
    #[default]
    Unknown,
    Root,
    In(Arc<Inode>, Box<[u8]>),
}

/// A name in a directory.
type Entry = (Arc<Inode>, Box<[u8]>);

impl Inode {
    /// The next moment.
    pub(super) fn tick(&self) -> u64 {
        self.table.tick()
    }

    /// This moment, to be remembered before the backend is asked for something that is to be kept.
    pub(super) fn now(&self) -> u64 {
        self.table.now()
    }

    /// Notes an open file that the backend has not opened yet.
    pub(super) fn add_reader(&self, reader: &Arc<Reader>) {
        let mut readers = self.readers.lock();
        if readers.len().is_power_of_two() {
            readers.retain(|reader| reader.strong_count() > 0);
        }
        readers.push(Arc::downgrade(reader));
    }

    /// Has the backend open all that are, before a name of the file goes: it may be the last.
    pub(super) fn open_readers(&self) {
        let readers = std::mem::take(&mut *self.readers.lock());
        for reader in readers.iter().filter_map(Weak::upgrade) {
            // Who reads will hear of it.
            let _ = reader.opened();
        }
    }
}

impl Inode {
    /// Counts a client who can get at the file whatever becomes of its names.
    pub(super) fn take(&self) {
        self.uses.fetch_add(1, Ordering::SeqCst);
    }

    /// The opposite of [`take`](Self::take).
    pub(super) fn release(&self) {
        if self.uses.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.pending.let_go();
        }
    }

    pub(super) fn is_used(&self) -> bool {
        self.uses.load(Ordering::SeqCst) > 0
    }

    /// Notes that a client was told by `name` of the file, or knows better than that.
    pub(super) fn tell(&self, name: Option<node::Entry>) {
        let old = std::mem::replace(&mut *self.told.lock(), name);
        // Only now: it may be the last reference to a directory.
        drop(old);
    }

    /// Whether a client was told of the file from memory.
    pub(super) fn is_told(&self) -> bool {
        self.told.lock().is_some()
    }

    /// The name by which a client was told of the file from memory.
    pub(super) fn told(&self) -> Option<node::Entry> {
        self.told.lock().clone()
    }

    /// Notes where the file is now.
    pub(super) fn put(&self, place: Place) {
        let old = std::mem::replace(&mut *self.place.lock(), place);
        // Only now: it may be the last reference to a directory.
        drop(old);
    }

    /// The name `name` of directory `dir` is gone.
    pub(super) fn left(&self, dir: &Arc<Inode>, name: &[u8]) {
        let is_there = matches!(&*self.place.lock(), Place::In(at, known) if Arc::ptr_eq(at, dir) && **known == *name);
        if is_there {
            self.put(Place::Unknown);
        }
    }

    /// The directories that the file is in with the names in them, the innermost first; `None` if that is not known.
    fn places(self: &Arc<Self>) -> Option<Vec<Entry>> {
        let (mut places, mut at) = (Vec::new(), self.clone());
        loop {
            let place = at.place.lock().clone();
            match place {
                Place::Unknown => return None,
                Place::Root => return Some(places),
                Place::In(dir, name) => {
                    places.push((dir.clone(), name));
                    at = dir;
                }
            }
        }
    }

    /// The names that lead to the file.
    pub(super) fn path(self: &Arc<Self>) -> Option<Vec<Box<[u8]>>> {
        let places = self.places()?.into_iter().rev();
        Some(places.map(|(_, name)| name).collect())
    }

    /// Whether the file is `dir`, or somewhere below it, or nobody knows.
    pub(super) fn is_below(self: &Arc<Self>, dir: &Arc<Self>) -> bool {
        Arc::ptr_eq(self, dir)
            || self.places().is_none_or(|places| places.iter().any(|(place, _)| Arc::ptr_eq(place, dir)))
    }

    /// The path, to tell somebody.
    pub(super) fn name(self: &Arc<Self>) -> String {
        let path = self.path().map(|names| String::from_utf8_lossy(&names.join(&b'/')).into_owned());
        path.unwrap_or_else(|| "a file without a name".to_owned())
    }
}

impl Drop for Inode {
    fn drop(&mut self) {
        // One after the other: a tree can be deeper than the stack.
        let mut place = std::mem::take(self.place.get_mut());
        while let Place::In(dir, _) = place {
            place = Arc::into_inner(dir).map_or(Place::Unknown, |mut dir| std::mem::take(dir.place.get_mut()));
        }
        let mut files = self.table.files.lock();
        if files.held.get(&self.identity).is_some_and(|file| file.strong_count() == 0) {
            files.held.remove(&self.identity);
        }
        files.changed = files.changed.max(self.meta.get_mut().changed());
    }
}

/// All files that somebody holds.
#[derive(Default)]
pub(super) struct Inodes {
    files: Mutex<Files>,
    /// Counts the moments at which changes begin and end.
    clock: AtomicU64,
}

#[derive(Default)]
struct Files {
    held: HashMap<Identity, Weak<Inode>>,
    /// When the last change of a file ended that nobody holds any more.
    changed: u64,
}

impl Inodes {
    /// This moment.
    pub(super) fn now(&self) -> u64 {
        self.clock.load(Ordering::SeqCst)
    }

    /// The next moment.
    fn tick(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// The file with these attributes.
    pub(super) fn get(self: &Arc<Self>, stat: &Statx) -> Arc<Inode> {
        static NUMBERS: AtomicU64 = AtomicU64::new(1);
        let (identity, kind) = (identity(stat), stat.file_type());
        let mut files = self.files.lock();
        let held = files.held.get(&identity).map(Weak::upgrade);
        // If one is being dropped just now, its changes are not counted yet.
        let changed = if held.is_some() { self.now() } else { files.changed };
        let replaced = match held.flatten() {
            // What was known of one that is gone may still be held, and its number be another file's. One that somebody
            // can get at may seem to be gone for a moment; in this order it does not.
            Some(inode) if inode.kind == kind && (!inode.pending.is_dropped() || inode.is_used()) => return inode,
            other => other,
        };
        let inode = Arc::new(Inode {
            table: self.clone(),
            identity,
            number: NUMBERS.fetch_add(1, Ordering::Relaxed),
            kind,
            meta: Mutex::new(Meta::new(changed)),
            readers: Mutex::default(),
            keeps_atime: AtomicBool::new(false),
            pending: Pending::default(),
            uses: AtomicUsize::new(0),
            place: Mutex::default(),
            told: Mutex::default(),
        });
        files.held.insert(identity, Arc::downgrade(&inode));
        drop(files);
        // Only now: the table is locked when it is the last reference that goes.
        drop(replaced);
        inode
    }
}

#[cfg(test)]
mod tests {
    use lisafs::backend::StatxMask;

    use super::*;

    #[test]
    fn what_was_known_of_a_file_that_is_being_dropped_is_forgotten() {
        let inodes = Arc::new(Inodes::default());
        let stat = Statx { mask: StatxMask::BASIC_STATS, ino: 7, mode: 0o100_644, ..Statx::default() };
        let (first, asked) = (inodes.get(&stat), inodes.now());
        drop(first.change());
        assert!(first.keep(asked).is_none() && first.keep(inodes.now()).is_some());
        drop(first);
        assert!(inodes.get(&stat).keep(asked).is_none(), "after it was dropped");
        // Its last reference is gone, and it is not out of the table.
        inodes.files.lock().held.insert(identity(&stat), Weak::new());
        let asked = inodes.now();
        inodes.tick();
        let second = inodes.get(&stat);
        assert!(second.keep(asked).is_none(), "while it is dropped");
        assert!(second.keep(inodes.now()).is_some());
    }
}
