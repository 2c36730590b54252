//! The threads that read and look names up ahead.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::Builder;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// How many there are at most.
pub const MOST_THREADS: usize = 16;

/// How many chunks a mount reads ahead at most.
const MOST_CHUNKS: usize = 64;

/// A thread goes when it had nothing to do for so long.
const LONGEST_REST: Duration = Duration::from_secs(1);

type Job = Box<dyn FnOnce() + Send>;

/// Threads that are there as long as there is something to do ahead.
#[derive(Default)]
pub(in crate::fs) struct Fetchers(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    work: Condvar,
    chunks: Arc<AtomicUsize>,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    threads: usize,
    idle: usize,
}

/// Room for one chunk, as long as this lives.
pub(super) struct Permit(Arc<AtomicUsize>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Fetchers {
    /// Room for one more chunk, if there is any.
    pub(super) fn admit(&self) -> Option<Permit> {
        let permit = Permit(self.0.chunks.clone());
        (permit.0.fetch_add(1, Ordering::Relaxed) < MOST_CHUNKS).then_some(permit)
    }

    /// Has `job` done.
    pub(super) fn run(&self, job: Job) {
        let mut state = self.0.state.lock();
        state.jobs.push_back(job);
        let is_short = state.jobs.len() > state.idle && state.threads < MOST_THREADS;
        if is_short {
            let shared = self.0.clone();
            // Without it, others get to the job later. If there is no other, readers do without.
            let started = Builder::new().name("read-ahead".into()).spawn(move || shared.work());
            state.threads += usize::from(started.is_ok());
        }
        if state.threads == 0 {
            let jobs = std::mem::take(&mut state.jobs);
            drop(state);
            jobs.into_iter().for_each(|job| job());
            return;
        }
        drop(state);
        self.0.work.notify_one();
    }
}

impl Shared {
    fn work(&self) {
        let mut state = self.state.lock();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                drop(state);
                job();
                state = self.state.lock();
                continue;
            }
            state.idle += 1;
            let is_over = self.work.wait_for(&mut state, LONGEST_REST).timed_out() && state.jobs.is_empty();
            state.idle -= 1;
            if is_over {
                state.threads -= 1;
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn jobs_are_done_at_once_and_chunks_are_bounded() {
        let fetchers = Fetchers::default();
        // Each waits for the next one: nobody would get on if they were done one after the other.
        let (done, all) = channel();
        let mut next: Option<std::sync::mpsc::Receiver<()>> = None;
        for number in 0..MOST_THREADS {
            let (tell, told) = channel();
            let (done, before) = (done.clone(), next.replace(told));
            fetchers.run(Box::new(move || {
                let _ = tell.send(());
                if let Some(before) = before {
                    before.recv().unwrap();
                }
                done.send(number).unwrap();
            }));
        }
        let mut numbers: Vec<_> = all.iter().take(MOST_THREADS).collect();
        numbers.sort_unstable();
        assert!(numbers.into_iter().eq(0..MOST_THREADS));
        let permits: Vec<_> = std::iter::from_fn(|| fetchers.admit()).collect();
        assert_eq!(permits.len(), MOST_CHUNKS);
        drop(permits);
        assert!(fetchers.admit().is_some());
    }
}
