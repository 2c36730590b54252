//! FDs that wait to be given back to the server, many at a time.

use std::time::{Duration, Instant};

use crate::wire::message::{CloseReq, CloseResp};
use crate::wire::{FdArray, FdId, MessageId};
use parking_lot::{Condvar, Mutex};

use super::exchange::Connection;

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

    /// Sends what is in the queue. When this returns, nothing that was added before is still under way.
    pub(super) fn flush(&self, connection: &Connection) {
        let mut batch = self.sending.lock();
        std::mem::swap(&mut *batch, &mut self.queue.lock().fds);
        for fds in batch.chunks(MOST) {
            let Ok(fds) = FdArray::new(fds) else { unreachable!("a chunk fits into a message") };
            let closed = connection.call(&CloseReq { fds }, |answer| answer.decode::<CloseResp>());
            if let Err(error) = closed {
                // There is nobody to tell: the server keeps them until the connection ends.
                tracing::debug!(message = ?MessageId::CLOSE, %error, "cannot give descriptors back");
            }
        }
        batch.clear();
    }

    /// Sends batches until [stopped](Self::stop).
    pub(super) fn serve(&self, connection: &Connection) {
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
            self.flush(connection);
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
