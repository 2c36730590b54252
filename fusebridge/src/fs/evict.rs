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

use super::identity::NodeId;
use super::nodes::{Candidate, Nodes};
use lisafs::client::Client;

/// Names that are given up in one go.
const BATCH: usize = 256;

/// How long an operation waits for room before it fails, from the last time that something was given up.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks the kernel to forget a name.
pub type Forget = Box<dyn Fn(&Candidate) + Send>;

#[derive(Default)]
struct State {
    held: usize,
    /// Somebody could not get a descriptor.
    wanted: bool,
    /// Directories in which somebody waits for one: the kernel cannot forget names in them until the wait is over.
    waited_in: Vec<NodeId>,
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

    /// Runs `call`, which is about a name in `parent` or a file; if it fails for want of descriptors, has some given up and tries
    /// again for a while.
    pub fn with_room<T>(&self, parent: NodeId, mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
        match call() {
            Err(Errno::MFILE | Errno::NFILE) => {}
            result => return result,
        }
        self.shared.state.lock().waited_in.push(parent);
        let result = self.wait_for_room(call);
        let mut state = self.shared.state.lock();
        if let Some(index) = state.waited_in.iter().position(|waited_in| *waited_in == parent) {
            state.waited_in.swap_remove(index);
        }
        result
    }

    fn wait_for_room<T>(&self, mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
        let mut deadline = Instant::now() + PATIENCE;
        let mut least = usize::MAX;
        loop {
            let held = self.nodes.lock().fds();
            if held < least {
                (least, deadline) = (held, Instant::now() + PATIENCE);
            }
            {
                let mut state = self.shared.state.lock();
                state.wanted = true;
                state.held = held;
                self.shared.is_tight.store(true, Ordering::Relaxed);
                self.shared.changed.notify_all();
                self.shared.changed.wait_for(&mut state, Duration::from_millis(20));
            }
            let result = call();
            let is_over = Instant::now() >= deadline || self.shared.state.lock().stopped;
            if is_over || !matches!(result, Err(Errno::MFILE | Errno::NFILE)) {
                return result;
            }
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
            // It would wait for those who wait for us.
            if !shared.state.lock().waited_in.contains(&candidate.parent) {
                forget(candidate);
            }
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
