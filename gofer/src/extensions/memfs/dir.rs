//! The entries of a directory.

use std::collections::BTreeMap;
use std::hash::BuildHasher;
use std::sync::{Arc, Weak};

use super::Shared;
use super::inode::Inode;
use lisafs::backend::{Error, Name, Result};

/// Bytes of the longest name.
pub(super) const MAX_NAME: usize = 255;

/// A directory's entries, by position.
///
/// An entry's position is made of its name's hash and stays the same as long as the name exists. So a listing that goes
/// on from a position misses nothing and repeats nothing, whatever happened meanwhile, and one map is enough for
/// listing and looking up.
pub(super) struct Dir {
    entries: BTreeMap<u64, Entry>,
    /// The directory that this one is in; the root is in none. Changes only during renames, one of which runs at a
    /// time.
    pub(super) parent: Weak<Inode>,
}

/// A name and its file.
pub(super) struct Entry {
    pub(super) name: Box<[u8]>,
    pub(super) inode: Arc<Inode>,
}

/// A name and the first position it can have.
#[derive(Clone, Copy)]
pub(super) struct Key<'a> {
    name: &'a [u8],
    first: u64,
}

/// The lowest bits of a position tell names with the same hash apart.
const SLOTS: u64 = 1 << 8;

impl Shared {
    /// Where to look for `name` in directories; `ENAMETOOLONG` if it can be in none.
    pub(super) fn key<'a>(&self, name: Name<'a>) -> Result<Key<'a>> {
        let name = name.as_bytes();
        if name.len() > MAX_NAME {
            return Err(Error::NAMETOOLONG);
        }
        Ok(Key::of(name, self.hasher.hash_one(name)))
    }
}

impl<'a> Key<'a> {
    fn of(name: &'a [u8], hash: u64) -> Self {
        // One bit is left, since positions are signed in some interfaces, and the one behind the last must exist.
        Key { name, first: hash >> 2 & !(SLOTS - 1) }
    }
}

impl Dir {
    /// An empty directory in `parent`.
    pub(super) fn new(parent: Weak<Inode>) -> Self {
        Dir { entries: BTreeMap::new(), parent }
    }

    /// How many entries there are.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no entry.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The entries that could be the one of `key`.
    fn candidates(&self, key: &Key<'_>) -> impl Iterator<Item = (u64, &Entry)> {
        self.entries.range(key.first..key.first + SLOTS).map(|(position, entry)| (*position, entry))
    }

    fn find(&self, key: &Key<'_>) -> Option<(u64, &Entry)> {
        self.candidates(key).find(|(_, entry)| *entry.name == *key.name)
    }

    /// The file called so.
    pub(super) fn get(&self, key: &Key<'_>) -> Option<&Arc<Inode>> {
        self.find(key).map(|(_, entry)| &entry.inode)
    }

    /// A position for a name that is not there yet.
    pub(super) fn free_position(&self, key: &Key<'_>) -> Result<u64> {
        let mut position = key.first;
        for (taken, _) in self.candidates(key) {
            if taken != position {
                break;
            }
            position += 1;
        }
        // So many equal hashes do not happen.
        if position < key.first + SLOTS { Ok(position) } else { Err(Error::NOSPC) }
    }

    /// Puts a name that is not there yet at its position.
    pub(super) fn insert(&mut self, position: u64, key: &Key<'_>, inode: Arc<Inode>) {
        self.entries.insert(position, Entry { name: key.name.into(), inode });
    }

    /// Takes a name away, and returns its file.
    pub(super) fn remove(&mut self, key: &Key<'_>) -> Option<Arc<Inode>> {
        let (position, _) = self.find(key)?;
        self.entries.remove(&position).map(|entry| entry.inode)
    }

    /// Gives a name another file, and returns the one that it had.
    pub(super) fn replace(&mut self, key: &Key<'_>, inode: Arc<Inode>) -> Option<Arc<Inode>> {
        let (position, _) = self.find(key)?;
        self.entries.get_mut(&position).map(|entry| std::mem::replace(&mut entry.inode, inode))
    }

    /// The entries from position `from` on, each with its position.
    pub(super) fn entries_from(&self, from: u64) -> impl Iterator<Item = (u64, &Entry)> {
        self.entries.range(from..).map(|(position, entry)| (*position, entry))
    }

    /// All files, which the directory no longer has afterwards.
    pub(super) fn take_all(&mut self) -> impl Iterator<Item = Arc<Inode>> {
        std::mem::take(&mut self.entries).into_values().map(|entry| entry.inode)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extensions::memfs::{MemFs, MemOptions};
    use lisafs::backend::Backend;

    #[test]
    fn names_with_equal_hashes_are_told_apart() {
        let inode = MemFs::new(MemOptions::default()).unwrap().root;
        let mut dir = Dir::new(Weak::new());
        let names: Vec<[u8; 2]> = (0..=256).map(u16::to_be_bytes).collect();
        let key = |i: usize| Key::of(&names[i], u64::MAX);
        for i in 0..256 {
            assert!(dir.get(&key(i)).is_none());
            let position = dir.free_position(&key(i)).unwrap();
            dir.insert(position, &key(i), inode.clone());
            assert!(i64::try_from(position + 1).is_ok());
        }
        assert_eq!(dir.free_position(&key(256)), Err(Error::NOSPC));
        assert!(dir.remove(&key(7)).is_some());
        assert!(dir.remove(&key(7)).is_none());
        assert_eq!(dir.free_position(&key(256)), Ok(key(0).first + 7));
        assert_eq!(dir.len(), 255);
    }

    #[test]
    fn long_names_are_refused() {
        let fs = MemFs::new(MemOptions::default()).unwrap();
        let key = |len| fs.root.fs().key(Name::new(&vec![b'n'; len]).unwrap()).map(|key| key.name.len());
        assert_eq!((key(255), key(256)), (Ok(255), Err(Error::NAMETOOLONG)));
        assert!(!fs.options().tree_locks);
    }
}
