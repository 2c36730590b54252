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
    committing: Option<Arc<Changes>>,
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

    /// Makes `changes`, all at once.
    pub(crate) fn apply(&self, changes: impl IntoIterator<Item = (Vec<u8>, Option<Vec<u8>>)>) {
        self.state.write().current.extend(changes);
    }

    /// Whether there is nothing to commit.
    pub(crate) fn is_empty(&self) -> bool {
        self.state.read().current.is_empty()
    }

    /// Takes the changes since the last commit for the next one. They stay visible until it is [done](Self::committed).
    pub(crate) fn freeze(&self) -> Arc<Changes> {
        let mut state = self.state.write();
        let frozen = Arc::new(std::mem::take(&mut state.current));
        debug_assert!(state.committing.is_none(), "one commit at a time");
        state.committing = Some(frozen.clone());
        frozen
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
        let frozen = overlay.freeze();
        assert_eq!((frozen.len(), overlay.is_empty()), (2, true));
        overlay.apply([(key("a"), None), (key("c"), Some(key("2")))]);
        assert_eq!(overlay.get(b"a"), Some(None));
        assert_eq!(overlay.get(b"b"), Some(Some(key("1"))));
        assert_eq!(overlay.get(b"d"), None);
        let all: Vec<_> = overlay.range(&(key("a")..key("d"))).into_iter().collect();
        assert_eq!(all, [(key("a"), None), (key("b"), Some(key("1"))), (key("c"), Some(key("2")))]);
        assert!(overlay.range(&(key("b")..key("b"))).is_empty());
        overlay.committed();
        assert_eq!((overlay.get(b"a"), overlay.get(b"b")), (Some(None), None));
    }
}
