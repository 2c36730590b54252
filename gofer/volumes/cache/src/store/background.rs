//! Work that nobody waits for: fetching what will be read next, and what is to be found out of files that were closed.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

use super::{BLOCK, CacheFile, Source};

/// How many requests are made at once: at 1 MiB each, a backend that takes 20 ms for an answer gives 800 MiB/s.
const THREADS: usize = 16;
/// Beyond so many, what comes is not fetched ahead.
const MOST: usize = 64;

/// So many closed files wait at most.
const MOST_CLOSED: usize = 1024;

/// A part of a file, to be fetched.
struct Job {
    file: Arc<CacheFile>,
    source: Arc<dyn Source>,
    range: Range<u64>,
}

/// What is to be done for a file that was closed.
type Closing = Box<dyn FnOnce() + Send>;

/// Threads that work for all files of a cache.
pub(crate) struct Background(Arc<Queue>);

#[derive(Default)]
struct Queue {
    jobs: Mutex<Jobs>,
    changed: Condvar,
    /// A file that was closed is done with.
    closed: Condvar,
}

#[derive(Default)]
struct Jobs {
    waiting: VecDeque<Job>,
    closing: VecDeque<Closing>,
    /// How many of these threads are at.
    at_closing: usize,
    has_ended: bool,
}

/// What a thread does next.
enum Next {
    Fetch(Job),
    Close(Closing),
}

impl Background {
    pub(super) fn start() -> io::Result<Self> {
        // If one cannot be started, those that are there end.
        let background = Background(Arc::default());
        for index in 0..THREADS {
            let queue = background.0.clone();
            thread::Builder::new().name(format!("cache-{index}")).spawn(move || queue.work())?;
        }
        Ok(background)
    }

    /// Has `range` of a file fetched from `source`, one block at a time.
    pub(super) fn fetch(&self, file: &Arc<CacheFile>, source: &Arc<dyn Source>, range: Range<u64>) {
        let mut jobs = self.0.jobs.lock();
        let mut start = range.start;
        while start < range.end && jobs.waiting.len() < MOST {
            let end = ((start / BLOCK + 1) * BLOCK).min(range.end);
            jobs.waiting.push_back(Job { file: file.clone(), source: source.clone(), range: start..end });
            self.0.changed.notify_one();
            start = end;
        }
    }
}

impl Background {
    /// Does `work` for a file that was closed, as soon as nothing is to be fetched.
    pub(crate) fn after_close(&self, work: impl FnOnce() + Send + 'static) {
        let mut jobs = self.0.jobs.lock();
        if jobs.closing.len() < MOST_CLOSED && !jobs.has_ended {
            jobs.closing.push_back(Box::new(work));
            self.0.changed.notify_one();
        } else {
            // Whoever closes so many waits.
            drop(jobs);
            work();
        }
    }

    /// Waits until all files that were closed are done with, or until `end`.
    pub(crate) fn wait_for_closed(&self, end: Instant) {
        let mut jobs = self.0.jobs.lock();
        while !jobs.closing.is_empty() || jobs.at_closing > 0 {
            if self.0.closed.wait_until(&mut jobs, end).timed_out() {
                return;
            }
        }
    }
}

impl Queue {
    fn next(&self) -> Option<Next> {
        let mut jobs = self.jobs.lock();
        loop {
            if jobs.has_ended {
                return None;
            }
            if let Some(job) = jobs.waiting.pop_front() {
                return Some(Next::Fetch(job));
            }
            if let Some(closing) = jobs.closing.pop_front() {
                jobs.at_closing += 1;
                return Some(Next::Close(closing));
            }
            self.changed.wait(&mut jobs);
        }
    }

    fn work(&self) {
        while let Some(next) = self.next() {
            match next {
                Next::Fetch(Job { file, source, range }) => {
                    // Who has closed it does not need it.
                    if Arc::strong_count(&source) > 1 {
                        file.fetch_ahead(range.start, range.end, &*source);
                    }
                }
                Next::Close(closing) => {
                    closing();
                    self.jobs.lock().at_closing -= 1;
                    self.closed.notify_all();
                }
            }
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        let mut jobs = self.0.jobs.lock();
        jobs.has_ended = true;
        let left = (std::mem::take(&mut jobs.waiting), std::mem::take(&mut jobs.closing));
        drop(jobs);
        self.0.changed.notify_all();
        drop(left);
    }
}
