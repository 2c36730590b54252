//! Where threads wait that have a request while as many are under way as may be.

use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::{Condvar, Mutex};

/// Threads that wait for something that others change.
#[derive(Debug, Default)]
pub(super) struct Room {
    waiting: AtomicUsize,
    lock: Mutex<()>,
    changed: Condvar,
}

impl Room {
    /// Waits until `look` finds something, which is asked again at each change.
    pub(super) fn wait<T>(&self, mut look: impl FnMut() -> Option<T>) -> T {
        let mut lock = self.lock.lock();
        // Before the first look: who changes something afterwards sees it.
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let found = loop {
            if let Some(found) = look() {
                break found;
            }
            self.changed.wait(&mut lock);
        };
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        found
    }

    /// Has those who wait look again.
    pub(super) fn changed(&self) {
        if self.waiting.load(Ordering::SeqCst) > 0 {
            // Whoever has looked in vain waits by now.
            drop(self.lock.lock());
            self.changed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;

    #[test]
    fn who_waits_looks_again_at_each_change() {
        let (room, is_there) = (Room::default(), AtomicBool::new(false));
        std::thread::scope(|scope| {
            let waiters: Vec<_> =
                (0..4).map(|_| scope.spawn(|| room.wait(|| is_there.load(Ordering::SeqCst).then_some(7)))).collect();
            is_there.store(true, Ordering::SeqCst);
            room.changed();
            assert!(waiters.into_iter().all(|waiter| waiter.join().unwrap() == 7));
        });
        assert_eq!(room.waiting.load(Ordering::SeqCst), 0);
    }
}
