//! A thread of a queue.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread::Builder;

use rustix::thread::{CpuSet, sched_setaffinity};

use super::commands::Commands;
use super::entry::Entry;
use super::homeless::Homeless;
use crate::fs::fuse::device::{BUFFER, Origin, Pool, Worker};

/// Starts a thread that begins with the request in `entry`, and stays with the queue of that.
pub(super) fn start(pool: &Arc<Pool>, entry: Arc<Entry>, homeless: Arc<Homeless>, number: usize) -> io::Result<()> {
    let (queue, pool) = (entry.queue(), pool.clone());
    let name = format!("fuse-{queue}-{number}");
    let worker = Worker::of_ring(&pool);
    let run = move || {
        stay_on(queue);
        worker.enter();
        let thread = Thread { worker, pool, homeless };
        if let Err(error) = thread.run(entry) {
            thread.pool.end(Some(error));
        }
    };
    Builder::new().name(name).spawn(run).map(drop)
}

/// Stays on the processor whose queue this is: the caller's. Where that is not permitted the thread goes anywhere.
fn stay_on(queue: u16) {
    let mut set = CpuSet::new();
    if usize::from(queue) < CpuSet::MAX_CPU {
        set.set(queue.into());
        if let Err(error) = sched_setaffinity(None, &set) {
            tracing::debug!(%error, queue, "a thread cannot stay on the processor of its queue");
        }
    }
}

struct Thread {
    worker: Worker,
    pool: Arc<Pool>,
    homeless: Arc<Homeless>,
}

impl Thread {
    /// Answers requests, at first that in `entry`, until none come any more.
    fn run(&self, mut entry: Arc<Entry>) -> io::Result<()> {
        let mut commands = Commands::new(self.pool.device().as_fd(), 2)
            .inspect_err(|error| tracing::warn!(%error, "a thread has no ring, and answers through another"))
            .ok();
        let mut buffer = vec![0; BUFFER];
        loop {
            let request = entry.receive(&mut buffer);
            let next = match (self.worker.take(request, &Origin::Ring(entry.clone())), &mut commands) {
                (true, Some(commands)) => next(commands, entry)?,
                (true, None) => {
                    entry.hand_over();
                    self.homeless.wait()
                }
                // Another has answered, and has the entry.
                (false, _) => self.homeless.wait(),
            };
            match next {
                Some(next) => entry = next,
                None => return Ok(()),
            }
        }
    }
}

/// Commits `entry`, and waits until it holds another request. `None`: none come any more.
fn next(commands: &mut Commands, entry: Arc<Entry>) -> io::Result<Option<Arc<Entry>>> {
    commands.commit(&entry)?;
    loop {
        commands.wait()?;
        match commands.next().map(|(_, result)| -result) {
            Some(0) => return Ok(Some(entry)),
            Some(libc::EAGAIN | libc::EINTR) => commands.commit(&entry)?,
            Some(libc::ENOTCONN | libc::ECONNABORTED) => return Ok(None),
            Some(error) => return Err(io::Error::from_raw_os_error(error)),
            None => {}
        }
    }
}
