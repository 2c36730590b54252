//! Telling what was counted.

use std::io;
use std::sync::{Arc, mpsc};
use std::time::Instant;

use signal_hook::consts::SIGUSR1;
use signal_hook::iterator::{Handle, Signals};

use super::Stats;
use crate::extensions::wrap::{Call, Layer};
use crate::log;
use lisafs::backend::{Errno, Result};

/// Statistics that are printed when the process is asked to and at the end.
pub(super) struct Reported {
    titled: Arc<Titled>,
    signals: Handle,
}

/// Statistics of something.
struct Titled {
    stats: Stats,
    backend: String,
}

impl Reported {
    /// Statistics of `backend`, printed at each SIGUSR1 from now on.
    pub(super) fn start(backend: &str) -> io::Result<Self> {
        let titled = Arc::new(Titled { stats: Stats::new(), backend: backend.to_owned() });
        let mut received = Signals::new([SIGUSR1])?;
        let signals = received.handle();
        let for_signals = titled.clone();
        let (started, has_started) = mpsc::channel::<()>();
        std::thread::Builder::new().name("stats".to_owned()).spawn(move || {
            drop(started);
            for _ in received.forever() {
                for_signals.print();
            }
        })?;
        // A thread makes system calls of its own at first, which a sandbox's gofer does not allow any more soon.
        let _ = has_started.recv();
        Ok(Reported { titled, signals })
    }
}

impl Titled {
    fn print(&self) {
        let text = format!("Calls to {}\n{}", self.backend.escape_debug(), self.stats.table());
        log::report(&text);
    }
}

impl Drop for Reported {
    fn drop(&mut self) {
        self.signals.close();
        self.titled.print();
    }
}

impl Layer for Reported {
    type Started = Instant;

    fn before(&self, call: Call) -> Result<Instant> {
        self.titled.stats.before(call)
    }

    fn after(&self, call: Call, started: Instant, outcome: std::result::Result<u64, Errno>) {
        self.titled.stats.after(call, started, outcome);
    }
}
