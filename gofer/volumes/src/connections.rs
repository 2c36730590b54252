//! The connections that are served.

use std::collections::{BTreeMap, HashMap};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

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

/// How many connections to one volume may hang that nobody wants any more. They do not count as connections, so that a
/// volume that hangs does not take all of them from others.
const MOST_HANGING: usize = 64;

/// How long the last requests of a connection may take that nobody wants any more, before it is one that hangs.
const PATIENCE: Duration = Duration::from_secs(10);

/// One connection.
pub(crate) struct Entry {
    pub(crate) about: Arc<About>,
    /// When its client has gone, if it was not the connection that ended first.
    left: Option<Instant>,
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
    taken: Mutex<Taken>,
    /// Gets the numbers of connections that have ended.
    ended: Arc<Ended>,
}

#[derive(Default)]
struct Taken {
    /// By clients.
    wanted: usize,
    /// Those that clients have left and that have not ended yet.
    left: usize,
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

    /// A place for one more of `most`, to `volume`.
    pub(crate) fn place(&self, most: usize, volume: &str) -> Result<Place<'_>, String> {
        let hangs =
            |entry: &&Entry| entry.about.volume == volume && entry.left.is_some_and(|left| left.elapsed() > PATIENCE);
        let hanging = self.entries.lock().values().filter(hangs).count();
        if hanging >= MOST_HANGING {
            return Err(format!("the volume hangs: {hanging} connections to it have been left and do not end"));
        }
        let mut taken = self.taken.lock();
        if taken.wanted >= most {
            return Err(format!("there are already {most} connections"));
        }
        taken.wanted += 1;
        Ok(Place(self))
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        let taken = self.taken.lock();
        taken.wanted + taken.left
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
        let entry = Entry { about, left: None, control, connection, _volume: volume };
        self.entries.lock().insert(number, entry);
    }

    /// Ends connection `number`, if it is there: its client has gone.
    pub(crate) fn end(&self, number: u64) {
        if let Some(entry) = self.entries.lock().get_mut(&number) {
            entry.connection.shut_down();
            if entry.left.is_none() {
                entry.left = Some(Instant::now());
                let mut taken = self.taken.lock();
                taken.wanted -= 1;
                taken.left += 1;
            }
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
            {
                let mut taken = self.taken.lock();
                let count = if entry.left.is_some() { &mut taken.left } else { &mut taken.wanted };
                *count -= 1;
            }
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
        self.0.taken.lock().wanted -= 1;
    }
}
