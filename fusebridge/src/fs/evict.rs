//! Keeping to a number of control FDs.
//!
//! Each control FD costs the server a descriptor, and the kernel forgets files only under memory pressure. So when
//! there are too many, it is asked to forget files that were not used lately, which it does unless somebody is in them:
//! something is mounted there, or it is a working directory. Of those that it keeps the control FDs are given up all
//! the same, and made anew when they are needed.
//!
//! A call that finds no room makes some at once. If there is none to be made it fails, and nobody else waits for that.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use lisafs::Errno;
use parking_lot::{Condvar, Mutex};

use super::control::Control;
use super::identity::NodeId;
use super::nodes::{Nodes, Sweep};
use lisafs::client::Client;

/// So many files are looked at in one go, while others wait.
const BATCH: usize = 256;

/// How often room is made for a call that is not quick enough to have it.
const ATTEMPTS: usize = 8;

/// How long a call waits for what has been closed, of which the kernel may tell us only now.
const GRACE: Duration = Duration::from_millis(20);

/// Asks the kernel to forget files.
pub type Prune = Box<dyn Fn(&[NodeId]) + Send>;

type Table = Mutex<Nodes<Arc<Control>>>;

#[derive(Default)]
struct State {
    held: usize,
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
    nodes: Arc<Table>,
    client: Arc<Client>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Evictor {
    /// An evictor that keeps `nodes` to about `max` control FDs once it was started.
    pub fn new(nodes: Arc<Table>, client: Arc<Client>, max: usize) -> Self {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            changed: Condvar::new(),
            is_tight: AtomicBool::new(false),
            max,
        });
        Evictor { shared, nodes, client, thread: Mutex::new(None) }
    }

    /// Starts giving files up, which the kernel is asked to forget by `prune`.
    pub fn start(&self, prune: Prune) -> std::io::Result<()> {
        let (shared, nodes, client) = (self.shared.clone(), self.nodes.clone(), self.client.clone());
        let thread =
            std::thread::Builder::new().name("evictor".into()).spawn(move || run(&shared, &nodes, &client, &prune))?;
        *self.thread.lock() = Some(thread);
        Ok(())
    }

    /// Whether files can be looked up that nobody has asked for, without giving others up soon.
    pub fn has_spare(&self) -> bool {
        self.nodes.lock().fds() < self.shared.max - self.shared.max / 16
    }

    /// Says that `held` control FDs are held now.
    pub fn held(&self, held: usize) {
        if held > self.shared.max {
            self.shared.is_tight.store(true, Ordering::Relaxed);
            self.shared.state.lock().held = held;
            self.shared.changed.notify_all();
        }
    }

    /// Says that something was given back, so that only `held` control FDs are held now.
    pub fn released(&self, held: usize) {
        if self.shared.is_tight.load(Ordering::Relaxed) {
            self.shared.state.lock().held = held;
            self.shared.changed.notify_all();
        }
    }

    /// Runs `call`; if it fails for want of descriptors, gives some up and runs it again. If there are none to be given
    /// up, it is `ENFILE`: the limit of the caller is another one.
    pub fn with_room<T>(&self, mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
        let mut attempt = || match call() {
            Err(Errno::MFILE | Errno::NFILE) => None,
            result => Some(result),
        };
        match attempt() {
            Some(result) => result,
            None => self.make_room(attempt).unwrap_or(Err(Errno::NFILE)),
        }
    }

    #[cold]
    fn make_room<T>(&self, mut attempt: impl FnMut() -> Option<T>) -> Option<T> {
        self.shared.is_tight.store(true, Ordering::Relaxed);
        for _ in 0..ATTEMPTS {
            let has_room = self.give_up_some();
            // Also what was closed before.
            self.client.flush_closes();
            let result = attempt();
            if result.is_some() {
                return result;
            }
            if !has_room {
                break;
            }
        }
        let mut state = self.shared.state.lock();
        if !state.stopped {
            self.shared.changed.wait_for(&mut state, GRACE);
        }
        drop(state);
        self.client.flush_closes();
        attempt()
    }

    /// Gives up some control FDs, rather such as were not used lately. `false`: there are none.
    fn give_up_some(&self) -> bool {
        for force in [false, true] {
            let mut left = self.nodes.lock().queued();
            while left > 0 {
                let swept: Sweep<_> = {
                    let mut nodes = self.nodes.lock();
                    if nodes.spare() == 0 {
                        return false;
                    }
                    nodes.sweep(BATCH, force)
                };
                if !swept.given_up.is_empty() {
                    return true;
                }
                left = left.saturating_sub(BATCH);
            }
        }
        false
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

fn run(shared: &Shared, nodes: &Table, client: &Client, prune: &Prune) {
    // Going a little below the limit at once is cheaper than to come back for each file.
    let enough = shared.max - shared.max / 8;
    loop {
        {
            let mut state = shared.state.lock();
            while !state.stopped && state.held <= shared.max {
                shared.is_tight.store(false, Ordering::Relaxed);
                shared.changed.wait(&mut state);
            }
            if state.stopped {
                return;
            }
        }
        loop {
            let (swept, held, spare) = {
                let mut nodes = nodes.lock();
                (nodes.sweep(BATCH, false), nodes.fds(), nodes.spare())
            };
            if !swept.idle.is_empty() {
                prune(&swept.idle);
            }
            let has_given_up = !swept.given_up.is_empty();
            drop(swept);
            if has_given_up {
                client.flush_closes();
            }
            let mut state = shared.state.lock();
            state.held = held;
            if held <= enough || state.stopped {
                break;
            }
            if spare == 0 {
                // Everything is in use. It is looked at again when something has changed.
                shared.changed.wait(&mut state);
                break;
            }
        }
    }
}
