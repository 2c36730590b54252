//! Files by what they are.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use lisafs::backend::{FileType, Statx};
use parking_lot::Mutex;

use super::meta::Meta;
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
}

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

impl Drop for Inode {
    fn drop(&mut self) {
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
        let held = files.held.get(&identity).and_then(Weak::upgrade);
        let replaced = match held {
            Some(inode) if inode.kind == kind => return inode,
            other => other,
        };
        let inode = Arc::new(Inode {
            table: self.clone(),
            identity,
            number: NUMBERS.fetch_add(1, Ordering::Relaxed),
            kind,
            meta: Mutex::new(Meta::new(files.changed)),
            readers: Mutex::default(),
            keeps_atime: AtomicBool::new(false),
        });
        files.held.insert(identity, Arc::downgrade(&inode));
        drop(files);
        // Only now: the table is locked when it is the last reference that goes.
        drop(replaced);
        inode
    }
}
