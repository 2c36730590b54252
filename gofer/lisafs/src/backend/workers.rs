//! Threads for calls that block.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, mpsc};
use std::thread::Builder;

use parking_lot::Mutex;

use super::{Errno, Result};

type Job = Box<dyn FnOnce() + Send>;

/// A fixed number of named threads that run what a backend cannot run on the server's own: client libraries that want a
/// deep stack (the server's threads have 256 KiB), or that only so many threads may use at once.
///
/// A call on the backend hands its work to [`run`](Self::run) and waits for it. A mount has as many calls under way as
/// it has communicators: one for its socket and one for each channel, [up to four](super::Options::max_channels) by
/// default. With several mounts there are more, and those for which there is no thread wait for one.
///
/// ```
/// use lisafs::backend::Workers;
///
/// let workers = Workers::start("store", 2)?;
/// let name = workers.run(|| std::thread::current().name().map(str::to_owned))?;
/// assert!(name.is_some_and(|name| name.starts_with("store-")));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Dropping it does not wait: each thread ends when it has done what it is doing.
#[derive(Clone, Debug)]
pub struct Workers {
    jobs: mpsc::Sender<Job>,
}

impl Workers {
    /// Starts `count` threads, at least one, called `name-0`, `name-1` and so on (Linux shows the first 15 bytes). An
    /// extension of a gofer does this in `open`, when the process has given up its privileges: threads made earlier
    /// would keep them.
    pub fn start(name: &str, count: usize) -> std::io::Result<Self> {
        let (jobs, queue) = mpsc::channel::<Job>();
        let queue = Arc::new(Mutex::new(queue));
        for index in 0..count.max(1) {
            let queue = queue.clone();
            let next = move || queue.lock().recv();
            Builder::new().name(format!("{name}-{index}")).spawn(move || {
                while let Ok(job) = next() {
                    job();
                }
            })?;
        }
        Ok(Workers { jobs })
    }

    /// Runs `work` on one of the threads, as soon as one is free, and returns what it returns. A panic is `EREMOTEIO`,
    /// as one on the server's own threads is.
    ///
    /// Work must not call this itself: if all threads did, none would be left to do anything.
    pub fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let (done, result) = mpsc::sync_channel(1);
        let job = move || {
            // Whoever has called waits for it.
            let _ = done.send(catch_unwind(AssertUnwindSafe(work)));
        };
        self.jobs.send(Box::new(job)).map_err(|_| Errno::IO.because("the threads of the backend have ended"))?;
        match result.recv() {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(panic)) => Err(Errno::REMOTEIO.because(format!("the backend panicked: {}", message(&*panic)))),
            Err(_) => Err(Errno::IO.because("the threads of the backend have ended")),
        }
    }
}

/// What a panic says.
fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a message")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn as_many_run_at_once_as_there_are_threads_and_no_more() {
        let workers = Workers::start("test", 2).unwrap();
        let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        // Two have to be there at once to get on.
        let both = Arc::new(Barrier::new(2));
        let names: Vec<String> = std::thread::scope(|scope| {
            let call = || {
                let (running, most, both) = (running.clone(), most.clone(), both.clone());
                let work = move || {
                    most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    both.wait();
                    running.fetch_sub(1, Ordering::SeqCst);
                    std::thread::current().name().unwrap().to_owned()
                };
                workers.run(work).unwrap()
            };
            let calls: Vec<_> = (0..8).map(|_| scope.spawn(call)).collect();
            calls.into_iter().map(|call| call.join().unwrap()).collect()
        });
        assert_eq!(most.load(Ordering::SeqCst), 2);
        assert_eq!(names.into_iter().collect::<BTreeSet<_>>(), ["test-0".to_owned(), "test-1".to_owned()].into());
    }

    #[test]
    fn a_panic_is_the_callers_error_and_costs_no_thread() {
        let workers = Workers::start("test", 1).unwrap();
        for _ in 0..3 {
            let error = workers.run(|| panic!("no {}", "luck")).map(|()| "no error").unwrap_err();
            assert_eq!(error.errno(), Errno::REMOTEIO);
            assert!(error.to_string().ends_with(": the backend panicked: no luck"), "{error}");
        }
        assert_eq!(workers.run(|| 7).unwrap(), 7);
    }

    #[test]
    fn threads_end_with_the_last_handle() {
        let workers = Workers::start("test", 2).unwrap();
        let (alive, ended) = mpsc::channel::<()>();
        // Held by both threads until they end.
        let both = Arc::new(Barrier::new(2));
        std::thread::scope(|scope| {
            for _ in 0..2 {
                let (workers, alive, both) = (workers.clone(), alive.clone(), both.clone());
                scope.spawn(move || {
                    workers.run(move || {
                        both.wait();
                        HELD.set(Some(alive));
                    })
                });
            }
        });
        drop((workers, alive));
        // Disconnected when both are gone.
        assert!(ended.recv().is_err());
    }

    thread_local! {
        static HELD: std::cell::Cell<Option<mpsc::Sender<()>>> = const { std::cell::Cell::new(None) };
    }
}
