//! Keeping clients waiting until everything is ready for them.

use parking_lot::{Condvar, Mutex};

/// Opens once.
#[derive(Debug, Default)]
pub(super) struct Gate {
    is_held: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    /// One that has to be opened.
    pub(super) fn held() -> Self {
        Gate { is_held: Mutex::new(true), opened: Condvar::new() }
    }

    pub(super) fn open(&self) {
        *self.is_held.lock() = false;
        self.opened.notify_all();
    }

    /// Returns when it is open.
    pub(super) fn pass(&self) {
        let mut is_held = self.is_held.lock();
        while *is_held {
            self.opened.wait(&mut is_held);
        }
    }
}
