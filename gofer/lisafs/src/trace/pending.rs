//! What was recorded and is not in the file yet.

use std::fs::File;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};

/// So many bytes are written without waiting for more.
pub(super) const ENOUGH: usize = 256 << 10;

/// So many bytes may wait for a slow disk before those who add to them wait, too.
const MOST: usize = 16 << 20;

/// What waits is written after so long, so that little is lost if this process dies.
const LINGER: Duration = Duration::from_secs(1);

#[derive(Default)]
pub(super) struct Shared {
    pub(super) pending: Mutex<Pending>,
    /// There is something to write, or it is the end.
    pub(super) filled: Condvar,
    /// All that was there has been written.
    pub(super) written: Condvar,
}

#[derive(Default)]
pub(super) struct Pending {
    pub(super) bytes: Vec<u8>,
    pub(super) records: u64,
    /// Not to be waited for any longer.
    pub(super) hurry: bool,
    pub(super) ended: bool,
    /// What is no longer in `bytes` may not be in the file yet.
    pub(super) writing: bool,
    pub(super) failure: Option<io::Error>,
}

impl Shared {
    /// The buffer, when it has room.
    pub(super) fn room(&self) -> MutexGuard<'_, Pending> {
        let mut pending = self.pending.lock();
        while pending.bytes.len() >= MOST && !pending.ended && pending.failure.is_none() {
            self.written.wait(&mut pending);
        }
        pending
    }

    /// Writes what is added until the end, or until it fails.
    pub(super) fn write_to(&self, file: &mut File) {
        let mut batch = Vec::with_capacity(2 * ENOUGH);
        loop {
            let mut pending = self.pending.lock();
            while pending.bytes.is_empty() && !pending.ended {
                pending.hurry = false;
                self.filled.wait(&mut pending);
            }
            let deadline = Instant::now() + LINGER;
            while pending.bytes.len() < ENOUGH && !pending.ended && !pending.hurry {
                if self.filled.wait_until(&mut pending, deadline).timed_out() {
                    break;
                }
            }
            std::mem::swap(&mut pending.bytes, &mut batch);
            let last = pending.ended;
            pending.hurry = false;
            pending.writing = true;
            drop(pending);
            let written = file.write_all(&batch);
            batch.clear();
            let mut pending = self.pending.lock();
            pending.writing = false;
            let failed = written.is_err();
            if let Err(error) = written {
                tracing::error!(%error, "cannot write the trace; it ends here");
                pending.failure = Some(error);
                pending.bytes = Vec::new();
            }
            drop(pending);
            self.written.notify_all();
            if last || failed {
                return;
            }
        }
    }
}
