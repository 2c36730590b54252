//! Changes of metadata that are not in the database yet.
//!
//! A commit takes all changes up to a moment and writes them as one batch, so that a crash leaves names and data of one
//! moment. Until that has happened, reads must see them.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use parking_lot::RwLock;

/// Keys with their new values; `None` is a removal.
pub(crate) type Changes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// Changes since the last commit, and those that the commit under way writes.
#[derive(Default)]
pub(crate) struct Overlay {
    state: RwLock<State>,
}

#[derive(Default)]
struct State {
    current: Changes,
    /// Bytes of `current`, with what the memory for it costs beside.
    size: u64,
    committing: Option<Arc<Changes>>,
}

/// Memory that a change takes beside its key and value: here, and in the batch that is made of it.
const OVERHEAD: u64 = 512;

fn size(key: &[u8], value: Option<&Vec<u8>>) -> u64 {
    (key.len() + value.map_or(0, Vec::len)) as u64 + OVERHEAD
}

impl Overlay {
    /// What is to become of `key`: `None` if nothing is, `Some(None)` if it is removed.
    pub(crate) fn get(&self, key: &[u8]) -> Option<Option<Vec<u8>>> {
        let state = self.state.read();
        let older = || state.committing.as_ref().and_then(|changes| changes.get(key));
        state.current.get(key).or_else(older).cloned()
    }

    /// All changes in `range`.
    pub(crate) fn range(&self, range: &Range<Vec<u8>>) -> Changes {
        let state = self.state.read();
        let mut changes = Changes::new();
        for older in state.committing.iter().map(|changes| &**changes).chain([&state.current]) {
            changes.extend(older.range(range.clone()).map(|(key, value)| (key.clone(), value.clone())));
        }
        changes
    }

    /// Makes `changes`, all at once. Says how many bytes more there are to commit, and how many less.
    pub(crate) fn apply(&self, changes: impl IntoIterator<Item = (Vec<u8>, Option<Vec<u8>>)>) -> (u64, u64) {
        let mut state = self.state.write();
        let (mut more, mut less) = (0, 0);
        for (key, value) in changes {
            more += size(&key, value.as_ref());
            let length = key.len();
            if let Some(before) = state.current.insert(key, value) {
                less += (length + before.map_or(0, |before| before.len())) as u64 + OVERHEAD;
            }
        }
        state.size = (state.size + more).saturating_sub(less);
        (more, less)
    }

    /// Whether there is nothing to commit.
    pub(crate) fn is_empty(&self) -> bool {
        self.state.read().current.is_empty()
    }

    /// Takes the changes since the last commit for the next one, and says how many bytes they are. They stay visible
    /// until it is [done](Self::committed).
    pub(crate) fn freeze(&self) -> (Arc<Changes>, u64) {
        let mut state = self.state.write();
        let frozen = Arc::new(std::mem::take(&mut state.current));
        debug_assert!(state.committing.is_none(), "one commit at a time");
        state.committing = Some(frozen.clone());
        (frozen, std::mem::take(&mut state.size))
    }

    /// The commit has written what it took.
    pub(crate) fn committed(&self) {
        self.state.write().committing = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> Vec<u8> {
        text.into()
    }

    #[test]
    fn newer_changes_hide_older_ones() {
        let overlay = Overlay::default();
        assert!(overlay.is_empty());
        overlay.apply([(key("a"), Some(key("1"))), (key("b"), Some(key("1")))]);
        let (frozen, bytes) = overlay.freeze();
        assert_eq!(bytes, 4 + 2 * OVERHEAD);
        assert_eq!((frozen.len(), overlay.is_empty()), (2, true));
        assert_eq!(overlay.apply([(key("a"), None), (key("c"), Some(key("2")))]), (3 + 2 * OVERHEAD, 0));
        assert_eq!(overlay.apply([(key("c"), Some(key("22")))]), (3 + OVERHEAD, 2 + OVERHEAD));
        assert_eq!(overlay.get(b"a"), Some(None));
        assert_eq!(overlay.get(b"b"), Some(Some(key("1"))));
        assert_eq!(overlay.get(b"d"), None);
        let all: Vec<_> = overlay.range(&(key("a")..key("d"))).into_iter().collect();
        assert_eq!(all, [(key("a"), None), (key("b"), Some(key("1"))), (key("c"), Some(key("22")))]);
        assert!(overlay.range(&(key("b")..key("b"))).is_empty());
        overlay.committed();
        assert_eq!((overlay.get(b"a"), overlay.get(b"b")), (Some(None), None));
    }
}
