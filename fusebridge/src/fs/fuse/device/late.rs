//! Changes that go on after their callers were told that they were interrupted. What comes after one on the same file
//! waits for it: a late write must not replace what was written since.

use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::{Condvar, Mutex};

use crate::fs::identity::NodeId;

/// Changes that go on, each by the number of its request.
#[derive(Debug, Default)]
pub(super) struct Late {
    changes: Mutex<Vec<(NodeId, u64)>>,
    /// How many there are.
    count: AtomicUsize,
    ended: Condvar,
}

impl Late {
    /// Change `unique` to `node` goes on.
    pub(super) fn add(&self, node: NodeId, unique: u64) {
        let mut changes = self.changes.lock();
        changes.push((node, unique));
        self.count.store(changes.len(), Ordering::Release);
    }

    /// Change `unique` has ended.
    pub(super) fn remove(&self, unique: u64) {
        let mut changes = self.changes.lock();
        changes.retain(|(_, other)| *other != unique);
        self.count.store(changes.len(), Ordering::Release);
        drop(changes);
        self.ended.notify_all();
    }

    /// Waits until the changes to `node` have ended that go on now.
    pub(super) fn wait(&self, node: NodeId) {
        if self.count.load(Ordering::Acquire) == 0 {
            return;
        }
        let mut changes = self.changes.lock();
        let earlier: Vec<u64> = changes.iter().filter(|change| change.0 == node).map(|change| change.1).collect();
        while changes.iter().any(|(_, unique)| earlier.contains(unique)) {
            self.ended.wait(&mut changes);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn only_what_was_there_before_is_waited_for() {
        let late = Arc::new(Late::default());
        late.add(NodeId(1), 2);
        late.wait(NodeId(7));
        let (done, is_done) = channel();
        let waiting = {
            let late = late.clone();
            std::thread::spawn(move || {
                late.wait(NodeId(1));
                done.send(()).unwrap();
            })
        };
        late.remove(2);
        is_done.recv().unwrap();
        waiting.join().unwrap();
        late.wait(NodeId(1));
    }
}
