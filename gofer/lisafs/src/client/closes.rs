//! FDs that wait to be given back to the server, many at a time.

use std::time::{Duration, Instant};

use crate::wire::{FdArray, FdId};
use parking_lot::{Condvar, Mutex};

/// So many are sent without waiting for more.
const BATCH: usize = 64;

/// The first of a batch waits so long for company.
const LINGER: Duration = Duration::from_millis(50);

/// Most FDs of one message: any server takes a message of this size.
const MOST: usize = super::SMALLEST_MESSAGE as usize / size_of::<FdId>() - 1;

/// The queue. A thread of the client [serves](Self::serve) it, so that adding to it never waits.
#[derive(Default)]
pub(super) struct Closes {
    queue: Mutex<Queue>,
    changed: Condvar,
    /// Held while a batch is sent; it is empty in between.
    sending: Mutex<Vec<FdId>>,
}

#[derive(Default)]
struct Queue {
    fds: Vec<FdId>,
    stopped: bool,
}

impl Closes {
    /// Adds `fds` to the queue. Numbers that name nothing are left out.
    pub(super) fn add(&self, fds: impl IntoIterator<Item = FdId>) {
        let mut queue = self.queue.lock();
        if queue.stopped {
            return;
        }
        let before = queue.fds.len();
        queue.fds.extend(fds.into_iter().filter(|fd| fd.is_valid()));
        let after = queue.fds.len();
        drop(queue);
        if (before == 0 && after > 0) || (before < BATCH && after >= BATCH) {
            self.changed.notify_one();
        }
    }

    /// Hands what is in the queue to `send`, a message's worth at a time. When this returns, nothing that was added
    /// before is still under way.
    pub(super) fn flush(&self, send: impl Fn(FdArray<'_>)) {
        let mut batch = self.sending.lock();
        std::mem::swap(&mut *batch, &mut self.queue.lock().fds);
        for fds in batch.chunks(MOST) {
            let Ok(fds) = FdArray::new(fds) else { unreachable!("a chunk fits into a message") };
            send(fds);
        }
        batch.clear();
    }

    /// Sends batches until [stopped](Self::stop).
    pub(super) fn serve(&self, send: impl Fn(FdArray<'_>)) {
        loop {
            let mut queue = self.queue.lock();
            while queue.fds.is_empty() && !queue.stopped {
                self.changed.wait(&mut queue);
            }
            let deadline = Instant::now() + LINGER;
            while queue.fds.len() < BATCH && !queue.stopped {
                if self.changed.wait_until(&mut queue, deadline).timed_out() {
                    break;
                }
            }
            if queue.stopped {
                return;
            }
            drop(queue);
            self.flush(&send);
        }
    }

    /// Forgets the queue and ends [`serve`](Self::serve): with the connection, the server closes everything by itself.
    pub(super) fn stop(&self) {
        let mut queue = self.queue.lock();
        queue.stopped = true;
        queue.fds = Vec::new();
        drop(queue);
        self.changed.notify_all();
    }
}
