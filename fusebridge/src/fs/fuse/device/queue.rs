//! Requests that were read while as many were under way as may be.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::{Condvar, Mutex};

use super::end::End;

/// Beyond so many bytes, requests are left with the kernel.
const MOST: usize = 64 << 20;

/// A request that waits.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) unique: u64,
    pub(super) bytes: Box<[u8]>,
    pub(super) end: Arc<End>,
}

/// Requests in their order.
#[derive(Debug, Default)]
pub(super) struct Queue {
    jobs: Mutex<(VecDeque<Job>, usize)>,
    count: AtomicUsize,
    has_room: Condvar,
}

impl Queue {
    /// Adds a request, when there is room.
    pub(super) fn push(&self, job: Job) {
        let mut jobs = self.jobs.lock();
        while jobs.1 > MOST {
            self.has_room.wait(&mut jobs);
        }
        jobs.1 += job.bytes.len();
        jobs.0.push_back(job);
        self.count.store(jobs.0.len(), Ordering::SeqCst);
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.count.load(Ordering::SeqCst) == 0
    }

    /// Takes the first one.
    pub(super) fn pop(&self) -> Option<Job> {
        if self.is_empty() { None } else { self.take(|_| Some(0)) }
    }

    /// Takes request `unique`.
    pub(super) fn remove(&self, unique: u64) -> Option<Job> {
        if self.is_empty() { None } else { self.take(|jobs| jobs.iter().position(|job| job.unique == unique)) }
    }

    fn take(&self, which: impl FnOnce(&VecDeque<Job>) -> Option<usize>) -> Option<Job> {
        let mut jobs = self.jobs.lock();
        let job = which(&jobs.0).and_then(|at| jobs.0.remove(at))?;
        jobs.1 -= job.bytes.len();
        self.count.store(jobs.0.len(), Ordering::SeqCst);
        drop(jobs);
        self.has_room.notify_all();
        Some(job)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_leave_in_their_order_or_by_their_number() {
        let queue = Queue::default();
        let end = End::new(std::fs::File::open("/dev/null").unwrap().into());
        for unique in [2, 4, 6] {
            queue.push(Job { unique, bytes: Box::from(&b"x"[..]), end: end.clone() });
        }
        assert_eq!(queue.remove(4).map(|job| job.unique), Some(4));
        assert!(queue.remove(4).is_none());
        assert_eq!([queue.pop(), queue.pop()].map(|job| job.map(|job| job.unique)), [Some(2), Some(6)]);
        assert!(queue.pop().is_none() && queue.is_empty());
    }
}
