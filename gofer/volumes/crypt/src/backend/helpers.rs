//! Threads that help with large requests.

use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, available_parallelism};

use parking_lot::{Condvar, Mutex};
use rayon::{ThreadPool, ThreadPoolBuilder};

/// How many threads work on one request at most, with the one that it came to.
const MOST: usize = 4;

/// The threads of this process, which all volumes share; none where there is one processor. They are made by the first
/// call, which must come before system calls are filtered.
pub(super) fn helpers() -> Option<&'static ThreadPool> {
    static HELPERS: OnceLock<Option<ThreadPool>> = OnceLock::new();
    let make = || {
        let others = available_parallelism().map_or(1, NonZero::get).min(MOST) - 1;
        if others == 0 {
            return None;
        }
        let pool = ThreadPoolBuilder::new().num_threads(others).thread_name(|number| format!("crypt-{number}"));
        // Without them it takes longer.
        pool.stack_size(256 << 10).build().inspect_err(|error| tracing::debug!(%error, "no threads to help")).ok()
    };
    HELPERS.get_or_init(make).as_ref()
}

/// Calls `make` for each number below `count`, here and on the threads of `helpers`, and `take` with what it has made:
/// here, in the order of the numbers, and as soon as it is there. Goes on as long as `take` says so.
pub(super) fn in_order<T: Send>(
    helpers: Option<&ThreadPool>,
    count: usize,
    make: impl Fn(usize) -> T + Sync,
    mut take: impl FnMut(T) -> bool,
) {
    let Some(helpers) = helpers.filter(|_| count > 1) else {
        (0..count).all(|number| take(make(number)));
        return;
    };
    let made = Mutex::new((0..count).map(|_| None).collect());
    let line = Line { make, next: AtomicUsize::new(0), made, is_made: Condvar::new() };
    helpers.in_place_scope(|scope| {
        for _ in 0..helpers.current_num_threads().min(count - 1) {
            // Each is woken once, and stays as long as there is something to do.
            scope.spawn(|_| while line.make_next(count) {});
        }
        if !(0..count).all(|number| take(line.wait_for(number, count))) {
            line.next.store(count, Ordering::Relaxed);
        }
    });
}

/// What several threads make.
struct Line<T, M> {
    make: M,
    /// The first number that nobody is at.
    next: AtomicUsize,
    made: Mutex<Vec<Option<thread::Result<T>>>>,
    is_made: Condvar,
}

impl<T: Send, M: Fn(usize) -> T + Sync> Line<T, M> {
    /// Makes the next one. `false`: there is none.
    fn make_next(&self, count: usize) -> bool {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        if number >= count {
            return false;
        }
        // Whoever waits for it is to panic, not to wait on.
        let made = catch_unwind(AssertUnwindSafe(|| (self.make)(number)));
        self.made.lock()[number] = Some(made);
        self.is_made.notify_one();
        true
    }

    /// What is made of `number`. Until that is there this thread makes what nobody is at.
    fn wait_for(&self, number: usize, count: usize) -> T {
        loop {
            let made = self.made.lock()[number].take();
            if let Some(made) = made {
                return made.unwrap_or_else(|panic| resume_unwind(panic));
            }
            if self.make_next(count) {
                continue;
            }
            let mut made = self.made.lock();
            if made[number].is_none() {
                self.is_made.wait(&mut made);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool() -> ThreadPool {
        ThreadPoolBuilder::new().num_threads(3).build().unwrap()
    }

    #[test]
    fn what_is_made_comes_in_order() {
        let pool = pool();
        for helpers in [None, Some(&pool)] {
            for count in [0, 1, 2, 100] {
                let mut taken = Vec::new();
                in_order(
                    helpers,
                    count,
                    |number| number,
                    |number| {
                        taken.push(number);
                        true
                    },
                );
                assert_eq!(taken, (0..count).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn nothing_is_taken_after_the_end() {
        let pool = pool();
        for helpers in [None, Some(&pool)] {
            let mut taken = Vec::new();
            in_order(
                helpers,
                100,
                |number| number,
                |number| {
                    taken.push(number);
                    number < 5
                },
            );
            assert_eq!(taken, [0, 1, 2, 3, 4, 5]);
        }
    }

    #[test]
    fn others_make_what_comes_next_meanwhile() {
        let pool = pool();
        // Two that wait for each other.
        let barrier = std::sync::Barrier::new(2);
        in_order(Some(&pool), 2, |_| barrier.wait(), |_| true);
    }

    #[test]
    fn a_panic_comes_through() {
        let pool = pool();
        let panics = || in_order(Some(&pool), 50, |number| assert!(number != 30, "number 30"), |()| true);
        assert!(catch_unwind(AssertUnwindSafe(panics)).is_err());
        // The threads are still there.
        in_order(Some(&pool), 50, |number| number, |_| true);
    }
}
