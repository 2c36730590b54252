//! Threads that have nothing to do.

use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

/// How long a thread waits before it ends.
const IDLE_TIMEOUT: Duration = Duration::from_secs(5);

/// Threads that wait until they are woken.
#[derive(Debug, Default)]
pub(super) struct IdleThreads {
    state: Mutex<State>,
    woken: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: usize,
    /// How many of them were woken and have not noticed.
    wakes: usize,
    closed: bool,
}

impl IdleThreads {
    /// Waits until woken. `false`: nothing came for long, or nothing will.
    pub(super) fn wait(&self) -> bool {
        let deadline = Instant::now() + IDLE_TIMEOUT;
        let mut state = self.state.lock();
        state.waiting += 1;
        while state.wakes == 0 && !state.closed {
            if self.woken.wait_until(&mut state, deadline).timed_out() {
                break;
            }
        }
        state.waiting -= 1;
        if state.closed || state.wakes == 0 {
            return false;
        }
        state.wakes -= 1;
        true
    }

    /// Wakes up to `wanted` of them; returns how many.
    pub(super) fn wake(&self, wanted: usize) -> usize {
        let mut state = self.state.lock();
        let woken = wanted.min(state.waiting - state.wakes);
        state.wakes += woken;
        drop(state);
        (0..woken).for_each(|_| {
            self.woken.notify_one();
        });
        woken
    }

    /// Ends them all.
    pub(super) fn close(&self) {
        self.state.lock().closed = true;
        self.woken.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn as_many_come_as_are_woken() {
        let idle = Arc::new(IdleThreads::default());
        assert_eq!(idle.wake(3), 0);
        let threads: Vec<_> = (0..3)
            .map(|_| {
                let idle = idle.clone();
                std::thread::spawn(move || idle.wait())
            })
            .collect();
        while idle.state.lock().waiting < 3 {
            std::thread::yield_now();
        }
        assert_eq!(idle.wake(2), 2);
        assert_eq!(idle.wake(2), 1, "those who were woken do not count any more");
        assert!(threads.into_iter().all(|thread| thread.join().unwrap()));
        idle.close();
        assert!(!idle.wait());
    }
}
