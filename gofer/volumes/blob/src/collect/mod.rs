//! The collector: segments that nothing refers to are deleted, and what is left of mostly dead ones is moved together.
//!
//! A block that has died in what is durable never comes back to life in the volume itself, whoever writes. It may be
//! alive in a checkpoint, which is how clones and followers are known, too. So a segment is deleted when nothing has
//! referred to it for a while (followers are behind), and when no checkpoint does, each asked for itself. Metadata is
//! flushed before checkpoints are listed, so that those made later cannot see the segment. Whatever cannot be listed or
//! read ends the collection.

mod delete;
mod moves;
mod repack;
mod requests;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use uuid::Uuid;

use self::moves::Move;
pub(crate) use self::moves::NodeMoves;
pub(crate) use self::requests::{COLLECT, DO, SNAPSHOT};
use crate::Error;
use crate::record::Segment;
use crate::volume::Volume;

/// How often the collector looks whether somebody wants something.
const TICK: Duration = Duration::from_secs(1);

/// What one collection has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Collected {
    /// Segments that were deleted.
    pub deleted: u64,
    /// Their bytes.
    pub freed: u64,
    /// Segments of uploads that were never committed, which were deleted.
    pub orphans: u64,
    /// Segments whose blocks were moved elsewhere, to be deleted later.
    pub repacked: u64,
    /// Bytes that were moved.
    pub moved: u64,
    /// Dead segments that a checkpoint, a clone or a reader still needs.
    pub kept: u64,
}

impl std::ops::AddAssign for Collected {
    fn add_assign(&mut self, other: Self) {
        self.deleted += other.deleted;
        self.freed += other.freed;
        self.orphans += other.orphans;
        self.repacked += other.repacked;
        self.moved += other.moved;
        self.kept = other.kept;
    }
}

/// How long segments must have been dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Age {
    /// By what this process has seen: clocks of others do not matter.
    Seen,
    /// By when they died, as whoever wrote then has noted.
    Noted,
}

/// What the collector knows and is to do.
#[derive(Default)]
pub(crate) struct Collector {
    state: Mutex<State>,
    wake: Condvar,
    /// Blocks for the next commit to move.
    moves: Mutex<Vec<Move>>,
    /// One collection at a time.
    turn: Mutex<Memory>,
}

#[derive(Default)]
struct State {
    stop: bool,
}

/// What is remembered from one collection to the next.
#[derive(Default)]
struct Memory {
    /// When segments were first seen to be dead.
    seen: HashMap<u64, Instant>,
    /// Checkpoints that need dead segments.
    needed: HashMap<u64, Uuid>,
    /// Whether uploads of those who wrote before were looked for.
    has_swept: bool,
    /// Requests that were dealt with.
    done: HashSet<Uuid>,
}

impl Collector {
    /// Whether there is something for the next commit to move.
    pub(crate) fn has_moves(&self) -> bool {
        !self.moves.lock().is_empty()
    }
}

impl Volume {
    /// Has the thread that [collects](Self::collect_until_stopped) end.
    pub(crate) fn stop_collecting(&self) {
        self.collector.state.lock().stop = true;
        self.collector.wake.notify_all();
    }

    /// Collects again and again, and does what others ask for, until [stopped](Self::stop_collecting) or until the
    /// volume is lost.
    pub(crate) fn collect_until_stopped(self: &Arc<Self>) {
        let every = self.options.horizon / 2;
        let mut next = Instant::now() + every;
        loop {
            let mut state = self.collector.state.lock();
            if !state.stop {
                self.collector.wake.wait_for(&mut state, TICK);
            }
            if state.stop || self.check().is_err() {
                return;
            }
            drop(state);
            self.serve_requests();
            if Instant::now() >= next {
                if let Err(error) = self.collect(Age::Seen) {
                    tracing::warn!(%error, "nothing was collected; it will be retried");
                }
                next = Instant::now() + every;
            }
        }
    }

    /// Deletes what nothing refers to, and moves what is left of mostly dead segments.
    pub(crate) fn collect(self: &Arc<Self>, age: Age) -> Result<Collected, Error> {
        let mut memory = self.collector.turn.lock();
        let segments = self.wait(self.durable_segments())?;
        let mut collected = self.delete_dead(&segments, age, &mut memory)?;
        if !memory.has_swept {
            collected.orphans = self.delete_orphans(&segments)?;
            memory.has_swept = age == Age::Seen;
        }
        self.repack(&segments, &mut collected)?;
        if collected != Collected::default() {
            tracing::info!(?collected, "collected");
        }
        Ok(collected)
    }

    /// The volume's own segments, as a crash would leave them.
    async fn durable_segments(&self) -> Result<Vec<(u64, Segment)>, Error> {
        let records = self.meta.scan_durable(crate::key::segments_of(self.own)).await.map_err(|_| self.unreadable())?;
        let read = |record: slatedb::KeyValue| {
            let (_, number) = crate::key::segment_of(&record.key)?;
            Some((number, crate::record::decode("segment", &record.value).ok()?))
        };
        records.into_iter().map(read).collect::<Option<_>>().ok_or_else(|| self.unreadable())
    }

    fn unreadable(&self) -> Error {
        Error::Damaged {
            url: self.store.url.clone(),
            what: "its metadata cannot be read; the log says more".to_owned(),
        }
    }

    /// Whether the collector is to end.
    fn is_stopping(&self) -> bool {
        self.collector.state.lock().stop || self.check().is_err()
    }
}
