//! Work that several of the threads do at once, while somebody waits for all of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::{Condvar, Mutex};

use super::fetchers::{Fetchers, MOST_THREADS};

/// Numbers that several threads work on.
struct Numbers<W> {
    work: W,
    count: usize,
    next: AtomicUsize,
    done: Mutex<usize>,
    is_done: Condvar,
}

impl<W: Fn(usize)> Numbers<W> {
    fn help(&self) {
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number >= self.count {
                return;
            }
            (self.work)(number);
            let mut done = self.done.lock();
            *done += 1;
            if *done == self.count {
                self.is_done.notify_all();
            }
        }
    }
}

impl Fetchers {
    /// Does `work` for each number below `count`, here and on up to `helpers` other threads.
    pub(super) fn share(&self, count: usize, helpers: usize, work: impl Fn(usize) + Send + Sync + 'static) {
        let (next, done, is_done) = (AtomicUsize::new(0), Mutex::new(0), Condvar::new());
        let numbers = Arc::new(Numbers { work, count, next, done, is_done });
        for _ in 0..helpers.min(count.saturating_sub(1)).min(MOST_THREADS) {
            let numbers = numbers.clone();
            self.run(Box::new(move || numbers.help()));
        }
        numbers.help();
        let mut done = numbers.done.lock();
        while *done < count {
            numbers.is_done.wait(&mut done);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_shared_out() {
        let fetchers = Fetchers::default();
        // Both wait for each other.
        let barrier = Arc::new(std::sync::Barrier::new(2));
        fetchers.share(2, 5, move |_| {
            barrier.wait();
        });
        let sum = Arc::new(AtomicUsize::new(0));
        for helpers in [0, 1, 100] {
            let of_all = sum.clone();
            fetchers.share(100, helpers, move |number| {
                of_all.fetch_add(number, Ordering::Relaxed);
            });
        }
        fetchers.share(0, 1, |_| unreachable!("there is no number"));
        assert_eq!(sum.load(Ordering::Relaxed), 3 * 4950);
    }
}
