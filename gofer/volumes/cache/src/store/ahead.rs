//! Fetching what will be read next.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::thread;

use parking_lot::{Condvar, Mutex};

use super::{BLOCK, CacheFile, Source};

/// How many requests are made at once: at 1 MiB each, a backend that takes 20 ms for an answer gives 800 MiB/s.
const THREADS: usize = 16;
/// Beyond so many, what comes is not fetched ahead.
const MOST: usize = 64;

/// A part of a file, to be fetched.
struct Job {
    file: Arc<CacheFile>,
    source: Arc<dyn Source>,
    range: Range<u64>,
}

/// Threads that fetch, for all files of a cache.
pub(super) struct Ahead(Arc<Queue>);

#[derive(Default)]
struct Queue {
    jobs: Mutex<Jobs>,
    changed: Condvar,
}

#[derive(Default)]
struct Jobs {
    waiting: VecDeque<Job>,
    has_ended: bool,
}

impl Ahead {
    pub(super) fn start() -> io::Result<Self> {
        // If one cannot be started, those that are there end.
        let ahead = Ahead(Arc::default());
        for index in 0..THREADS {
            let queue = ahead.0.clone();
            thread::Builder::new().name(format!("cache-{index}")).spawn(move || queue.work())?;
        }
        Ok(ahead)
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

impl Queue {
    fn next(&self) -> Option<Job> {
        let mut jobs = self.jobs.lock();
        loop {
            if jobs.has_ended {
                return None;
            }
            if let Some(job) = jobs.waiting.pop_front() {
                return Some(job);
            }
            self.changed.wait(&mut jobs);
        }
    }

    fn work(&self) {
        while let Some(Job { file, source, range }) = self.next() {
            // Who has closed it does not need it.
            if Arc::strong_count(&source) > 1 {
                file.fetch_ahead(range.start, range.end, &*source);
            }
        }
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        let mut jobs = self.0.jobs.lock();
        jobs.has_ended = true;
        let waiting = std::mem::take(&mut jobs.waiting);
        drop(jobs);
        self.0.changed.notify_all();
        drop(waiting);
    }
}
