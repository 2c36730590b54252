//! Keeping to a number of control FDs.
//!
//! The kernel forgets files only under memory pressure, while each one it knows costs the server a descriptor. So when there are
//! too many, the kernel is asked to forget names that were not used lately, by a thread of its own: the request waits for
//! locks that a caller of the mount may hold while it waits for us.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use rustix::io::Errno;

use super::nodes::{Candidate, Nodes};
use crate::client::Client;

/// Names that are given up in one go.
const BATCH: usize = 256;

/// How long an operation waits for room before it fails.
const PATIENCE: Duration = Duration::from_secs(2);

/// Asks the kernel to forget a name.
pub type Forget = Box<dyn Fn(&Candidate) + Send>;

#[derive(Default)]
struct State {
    held: usize,
    /// Somebody could not get a descriptor.
    wanted: bool,
    stopped: bool,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    /// Spares the lock while there is room.
    is_tight: AtomicBool,
    max: usize,
}

/// Gives up idle files when there are too many.
pub struct Evictor {
    shared: Arc<Shared>,
    nodes: Arc<Mutex<Nodes>>,
    client: Arc<Client>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Evictor {
    /// An evictor that keeps `nodes` to about `max` control FDs once it was started.
    pub fn new(nodes: Arc<Mutex<Nodes>>, client: Arc<Client>, max: usize) -> Self {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            changed: Condvar::new(),
            is_tight: AtomicBool::new(false),
            max,
        });
        Evictor { shared, nodes, client, thread: Mutex::new(None) }
    }

    /// Starts giving up files by `forget`.
    pub fn start(&self, forget: Forget) -> std::io::Result<()> {
        let (shared, nodes, client) = (self.shared.clone(), self.nodes.clone(), self.client.clone());
        let thread =
            std::thread::Builder::new().name("evictor".into()).spawn(move || run(&shared, &nodes, &client, &forget))?;
        *self.thread.lock() = Some(thread);
        Ok(())
    }

    /// Says that `held` control FDs are held now.
    pub fn held(&self, held: usize) {
        if held > self.shared.max {
            self.shared.is_tight.store(true, Ordering::Relaxed);
            self.shared.state.lock().held = held;
            self.shared.changed.notify_all();
        }
    }

    /// Says that only `held` control FDs are held now.
    pub fn released(&self, held: usize) {
        if self.shared.is_tight.load(Ordering::Relaxed) {
            self.shared.state.lock().held = held;
            self.shared.changed.notify_all();
        }
    }

    /// Runs `call`; if it fails for want of descriptors, has some given up and tries again for a while.
    pub fn with_room<T>(&self, mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
        let mut deadline = None;
        loop {
            let result = call();
            let Err(Errno::MFILE | Errno::NFILE) = result else { return result };
            let deadline = *deadline.get_or_insert_with(|| Instant::now() + PATIENCE);
            let held = self.nodes.lock().fds();
            let mut state = self.shared.state.lock();
            if Instant::now() >= deadline || state.stopped {
                return result;
            }
            state.wanted = true;
            state.held = held;
            self.shared.is_tight.store(true, Ordering::Relaxed);
            self.shared.changed.notify_all();
            self.shared.changed.wait_for(&mut state, Duration::from_millis(20));
        }
    }

    /// Ends the thread.
    pub fn stop(&self) {
        self.shared.state.lock().stopped = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.lock().take() {
            // A panic there has been reported already.
            let _ = thread.join();
        }
    }
}

fn run(shared: &Shared, nodes: &Mutex<Nodes>, client: &Client, forget: &Forget) {
    loop {
        {
            let mut state = shared.state.lock();
            while !state.stopped && !state.wanted && state.held <= shared.max {
                shared.is_tight.store(false, Ordering::Relaxed);
                shared.changed.wait(&mut state);
            }
            if state.stopped {
                return;
            }
            state.wanted = false;
        }
        // Going a little below the limit at once is cheaper than to come back for each file.
        let enough = shared.max - shared.max / 8;
        let (candidates, held) = {
            let mut nodes = nodes.lock();
            let held = nodes.fds();
            (nodes.idle(BATCH.max(held.saturating_sub(enough))), held)
        };
        for candidate in &candidates {
            forget(candidate);
        }
        client.flush_closes();
        let mut state = shared.state.lock();
        state.held = nodes.lock().fds();
        shared.changed.notify_all();
        if candidates.is_empty() || state.held >= held {
            // Everything is in use, or the kernel's answers are still on their way.
            shared.changed.wait_for(&mut state, Duration::from_millis(10));
        }
    }
}
