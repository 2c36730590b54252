//! Which names lead where.

use std::sync::Arc;

use quick_cache::Equivalent;
use quick_cache::sync::Cache;

use super::meta::Dated;
use super::node::Node;
use super::recent::recent;

/// A name in the directory with this number.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key(u64, Box<[u8]>);

/// The same, borrowed.
#[derive(Hash)]
struct Borrowed<'a>(u64, &'a [u8]);

impl Equivalent<Key> for Borrowed<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        self.0 == key.0 && *self.1 == *key.1
    }
}

/// Where a name leads; nowhere if there is no such name.
pub(super) type Entry = Arc<Dated<Option<Arc<Node>>>>;

/// The names that were used last.
pub(super) struct Names(Cache<Key, Entry>);

impl Names {
    /// At most `count`.
    pub(super) fn new(count: usize) -> Self {
        Names(recent(count))
    }

    /// Where `name` leads in the directory with the number `dir`, if that is known.
    pub(super) fn get(&self, dir: u64, name: &[u8]) -> Option<Entry> {
        self.0.get(&Borrowed(dir, name))
    }

    pub(super) fn put(&self, dir: u64, name: &[u8], node: Option<Arc<Node>>) {
        self.0.insert(Key(dir, name.into()), Arc::new(Dated::new(node)));
    }

    pub(super) fn remove(&self, dir: u64, name: &[u8]) {
        self.0.remove(&Borrowed(dir, name));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn clear(&self) {
        self.0.clear();
    }
}
