//! The connections that are served.

use std::collections::{BTreeMap, HashMap};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use lisafs::backend::Errno;
use lisafs::server::{Connection, Observer};
use lisafs::wire::MessageId;
use parking_lot::Mutex;

use crate::peer::Peer;
use crate::stats::Stats;
use crate::volumes::Open;

/// What is known of a connection.
pub(crate) struct About {
    pub(crate) volume: String,
    /// What the configuration calls it.
    pub(crate) pattern: String,
    pub(crate) peer: Peer,
    pub(crate) container: Option<String>,
    pub(crate) path: String,
    pub(crate) read_only: bool,
    pub(crate) since: SystemTime,
    pub(crate) stats: Stats,
}

/// One connection.
pub(crate) struct Entry {
    pub(crate) about: Arc<About>,
    /// Its end tells the client that ours has ended, and the other way round.
    control: Arc<OwnedFd>,
    connection: Connection,
    /// Keeps the volume open.
    _volume: Arc<Open>,
}

/// What was counted of a volume besides what its connections of now count.
#[derive(Default)]
pub(crate) struct Totals {
    pub(crate) ended: Stats,
    pub(crate) connections: u64,
}

/// All of them, and what was counted of those that have ended.
pub(crate) struct Connections {
    entries: Mutex<HashMap<u64, Entry>>,
    totals: Mutex<BTreeMap<String, Totals>>,
    next: AtomicU64,
    /// How many there are and will be in a moment.
    taken: Mutex<usize>,
    /// Gets the numbers of connections that have ended.
    ended: Arc<Ended>,
}

/// Where the end of a connection is told.
#[derive(Debug)]
struct Ended {
    numbers: Mutex<Vec<u64>>,
    wake: UnixStream,
}

/// The right to be one of a limited number of connections.
pub(crate) struct Place<'a>(&'a Connections);

/// Counts a connection's requests.
struct Watch {
    number: u64,
    about: Arc<About>,
    ended: Arc<Ended>,
}

impl Observer for Watch {
    fn answered(&self, message: MessageId, received: usize, result: Result<usize, Errno>, took: Duration) {
        self.about.stats.count(message, received, result.ok(), took);
    }

    fn ended(&self) {
        self.ended.numbers.lock().push(self.number);
        // If there is no room, it is awake already.
        let _ = rustix::io::write(&self.ended.wake, &[0]);
    }
}

impl Connections {
    /// None yet. `wake` becomes readable when one has ended.
    pub(crate) fn new(wake: UnixStream) -> Self {
        Connections {
            entries: Mutex::default(),
            totals: Mutex::default(),
            next: AtomicU64::new(1),
            taken: Mutex::default(),
            ended: Arc::new(Ended { numbers: Mutex::default(), wake }),
        }
    }

    /// A place for one more of `most`.
    pub(crate) fn place(&self, most: usize) -> Option<Place<'_>> {
        let mut taken = self.taken.lock();
        if *taken >= most {
            return None;
        }
        *taken += 1;
        Some(Place(self))
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        *self.taken.lock()
    }

    /// Whoever watches connection `number`.
    pub(crate) fn watch(&self, about: &Arc<About>) -> (u64, Arc<dyn Observer>) {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        (number, Arc::new(Watch { number, about: about.clone(), ended: self.ended.clone() }))
    }

    /// Keeps connection `number` until it has ended.
    pub(crate) fn add(
        &self,
        number: u64,
        place: Place<'_>,
        about: Arc<About>,
        control: Arc<OwnedFd>,
        connection: Connection,
        volume: Arc<Open>,
    ) {
        std::mem::forget(place);
        self.totals.lock().entry(about.pattern.clone()).or_default().connections += 1;
        let entry = Entry { about, control, connection, _volume: volume };
        self.entries.lock().insert(number, entry);
    }

    /// Ends connection `number`, if it is there: its client has gone.
    pub(crate) fn end(&self, number: u64) {
        if let Some(entry) = self.entries.lock().get(&number) {
            entry.connection.shut_down();
        }
    }

    /// Ends them all.
    pub(crate) fn end_all(&self) {
        for entry in self.entries.lock().values() {
            entry.connection.shut_down();
        }
    }

    /// Forgets those that have ended, and lets their clients know.
    pub(crate) fn reap(&self) {
        let numbers = std::mem::take(&mut *self.ended.numbers.lock());
        let mut again = Vec::new();
        for number in numbers {
            let Some(entry) = self.entries.lock().remove(&number) else {
                // It has ended before it was added.
                again.push(number);
                continue;
            };
            self.totals.lock().entry(entry.about.pattern.clone()).or_default().ended.absorb(&entry.about.stats);
            *self.taken.lock() -= 1;
            let (calls, errors) = entry.about.stats.totals();
            tracing::info!(
                "volume {:?}: {} disconnected, {calls} calls, {errors} errors",
                entry.about.volume,
                entry.about.peer
            );
            // Whoever polls it may still have it for a moment.
            let _ = rustix::net::shutdown(&*entry.control, rustix::net::Shutdown::Both);
        }
        self.ended.numbers.lock().append(&mut again);
    }

    /// Calls `f` with each connection.
    pub(crate) fn each(&self, mut f: impl FnMut(&About)) {
        for entry in self.entries.lock().values() {
            f(&entry.about);
        }
    }

    /// Calls `f` with the totals of each volume that ever had a connection.
    pub(crate) fn each_total(&self, mut f: impl FnMut(&str, &Totals)) {
        for (pattern, totals) in &*self.totals.lock() {
            f(pattern, totals);
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        *self.0.taken.lock() -= 1;
    }
}
