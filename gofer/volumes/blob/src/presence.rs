//! Whether a volume is open in this process, beyond what is seen of it: closing it takes as long as its last commit.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::volume::Volume;

/// How long somebody who is about to let go of a volume may take for that when the process ends.
const GRACE: Duration = Duration::from_secs(1);

/// Where a volume can be open.
#[derive(Default)]
pub(crate) struct Presence {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// How many are open: after a while in which one would not close, there may be two.
    open: usize,
    /// How many of them are being closed.
    closing: usize,
    last: Weak<Volume>,
}

/// A volume that is open. Dropped when it is closed.
pub(crate) struct Present(Arc<Presence>);

impl Presence {
    /// Notes that `volume` is open.
    pub(crate) fn enter(self: &Arc<Self>, volume: &Arc<Volume>) -> Present {
        let mut state = self.state.lock();
        state.open += 1;
        state.last = Arc::downgrade(volume);
        Present(self.clone())
    }

    /// Waits until none is open, for `limit` at most.
    pub(crate) fn wait(&self, limit: Duration) {
        let deadline = Instant::now() + limit;
        let mut state = self.state.lock();
        while state.open > 0 && !self.changed.wait_until(&mut state, deadline).timed_out() {}
    }

    /// Has all changes sent to the store, since the process ends: one that is being closed is waited for, as long as the
    /// store takes them.
    pub(crate) fn finish(&self) {
        self.wait_for_closing(GRACE);
        let stuck = {
            let state = self.state.lock();
            if state.open > state.closing { state.last.upgrade() } else { None }
        };
        if let Some(volume) = stuck
            && let Err(error) = volume.sync()
        {
            tracing::error!(%error, "changes that were not durable yet may be lost");
        }
        let mut state = self.state.lock();
        while state.closing > 0 {
            self.changed.wait(&mut state);
        }
    }

    /// Waits until one that is open is being closed.
    fn wait_for_closing(&self, limit: Duration) {
        let deadline = Instant::now() + limit;
        let mut state = self.state.lock();
        while state.open > state.closing && !self.changed.wait_until(&mut state, deadline).timed_out() {}
    }
}

impl Present {
    /// Notes that the volume is being closed.
    pub(crate) fn leave(&self) {
        self.0.state.lock().closing += 1;
        self.0.changed.notify_all();
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.open -= 1;
        state.closing -= 1;
        drop(state);
        self.0.changed.notify_all();
    }
}
