//! Where threads sit that have nothing to do.

use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

/// How long a thread sits before it goes.
const PATIENCE: Duration = Duration::from_secs(5);

/// Threads that wait until they are called.
#[derive(Debug, Default)]
pub(super) struct Bench {
    state: Mutex<State>,
    called: Condvar,
}

#[derive(Debug, Default)]
struct State {
    sitting: usize,
    /// How many of them were called and have not noticed.
    calls: usize,
    closed: bool,
}

impl Bench {
    /// Sits until called. `false`: nobody called for long, or nobody will.
    pub(super) fn sit(&self) -> bool {
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.state.lock();
        state.sitting += 1;
        while state.calls == 0 && !state.closed {
            if self.called.wait_until(&mut state, deadline).timed_out() {
                break;
            }
        }
        state.sitting -= 1;
        if state.closed || state.calls == 0 {
            return false;
        }
        state.calls -= 1;
        true
    }

    /// Calls up to `wanted` of those who sit here; returns how many.
    pub(super) fn call(&self, wanted: usize) -> usize {
        let mut state = self.state.lock();
        let called = wanted.min(state.sitting - state.calls);
        state.calls += called;
        drop(state);
        (0..called).for_each(|_| {
            self.called.notify_one();
        });
        called
    }

    /// Sends everybody home.
    pub(super) fn close(&self) {
        self.state.lock().closed = true;
        self.called.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn as_many_come_as_are_called() {
        let bench = Arc::new(Bench::default());
        assert_eq!(bench.call(3), 0);
        let threads: Vec<_> = (0..3)
            .map(|_| {
                let bench = bench.clone();
                std::thread::spawn(move || bench.sit())
            })
            .collect();
        while bench.state.lock().sitting < 3 {
            std::thread::yield_now();
        }
        assert_eq!(bench.call(2), 2);
        assert_eq!(bench.call(2), 1, "those who were called do not count any more");
        assert!(threads.into_iter().all(|thread| thread.join().unwrap()));
        bench.close();
        assert!(!bench.sit());
    }
}
