//! What is done to whole volumes beside using them.
//!
//! Nothing here stops a process that writes from writing, unless the caller says so: what only a writer can do, it is
//! asked for.

mod check;
mod clone;
mod snapshot;
mod usage;

use std::future::Future;
use std::time::Duration;

use slatedb::Checkpoint;
use slatedb::config::CheckpointOptions;
use tokio::runtime::Runtime;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

pub use self::check::{CheckOptions, Progress, Report};
pub(crate) use self::snapshot::find as snapshot;
pub use self::snapshot::{Snapshot, SnapshotKind};
pub use self::usage::{MetadataUsage, SegmentUsage, Usage};
use crate::collect::{Age, COLLECT, Collected};
use crate::meta::{Meta, View};
use crate::record::State;
use crate::superblock::Superblock;
use crate::{Error, Location, Opened, Store, head};

/// How long a process that writes may take for an answer.
const ANSWER: Duration = Duration::from_secs(20);

/// How often is looked for it.
const LOOK: Duration = Duration::from_millis(200);

/// A volume, seen from outside.
pub struct Manager {
    location: Location,
    store: Store,
    superblock: Superblock,
    runtime: Runtime,
}

impl std::fmt::Debug for Manager {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Manager").field("url", &self.store.url).finish_non_exhaustive()
    }
}

impl Manager {
    /// Looks whether there is a volume.
    pub fn new(location: &Location) -> Result<Self, Error> {
        Self::of(Store::new(location)?, location)
    }

    /// [`new`](Self::new) in a store that is there already.
    pub fn of(store: Store, location: &Location) -> Result<Self, Error> {
        let runtime = crate::open::runtime()?;
        let superblock = runtime.block_on(crate::open::superblock(&store))?;
        Ok(Manager { location: location.clone(), store, superblock, runtime })
    }

    /// Deletes what nothing refers to any more. Nothing is answered if a process writes: it was asked to do it.
    pub fn collect(&self, take_over: bool) -> Result<Option<Collected>, Error> {
        if !take_over && !self.wait(self.state())?.is_closed {
            self.wait(self.drop_clones())?;
            self.wait(self.ask(COLLECT))?;
            return Ok(None);
        }
        let opened = self.take_over()?;
        self.wait(self.drop_clones())?;
        let mut collected = Collected::default();
        loop {
            let more = opened.volume().collect(Age::Noted)?;
            collected += more;
            if more.repacked == 0 {
                return Ok(Some(collected));
            }
        }
    }

    /// Opens the volume for writing.
    fn take_over(&self) -> Result<Opened, Error> {
        let mut location = self.location.clone();
        (location.options.read_only, location.options.checkpoint) = (false, None);
        Opened::open_in(self.store.clone(), &location)
    }

    fn wait<T>(&self, call: impl Future<Output = T>) -> T {
        self.runtime.block_on(call)
    }

    fn limit(&self) -> Duration {
        self.location.options.timeout
    }

    fn damaged(&self, what: &str) -> Error {
        Error::Damaged { url: self.store.url.clone(), what: what.to_owned() }
    }

    /// The counters, as they are in the store.
    async fn state(&self) -> Result<State, Error> {
        Ok(head::glance(&self.store, &self.superblock, self.limit()).await?.1)
    }

    async fn state_in(&self, view: View) -> Result<State, Error> {
        let meta = Meta::read(&self.store, view, self.limit()).await?;
        let state = head::state(&self.store, &meta).await;
        meta.close().await;
        state
    }

    /// Asks the process that writes for something, and waits until it has done it.
    async fn ask(&self, request: &str) -> Result<(), Error> {
        let id = mark(&self.store, request, Some(Duration::from_secs(300)), None, self.limit()).await?;
        let answer = async {
            while checkpoints(&self.store, self.limit()).await?.iter().any(|checkpoint| checkpoint.id == id) {
                sleep(LOOK).await;
            }
            Ok(())
        };
        match timeout(ANSWER, answer).await {
            Ok(answered) => answered,
            Err(_) => {
                unmark(&self.store, id, self.limit()).await?;
                Err(Error::NoAnswer(self.store.url.clone()))
            }
        }
    }
}

/// All checkpoints of a volume, which snapshots, clones, readers and requests are known by.
pub(crate) async fn checkpoints(store: &Store, limit: Duration) -> Result<Vec<Checkpoint>, Error> {
    within(store, limit, store.admin().list_checkpoints(None)).await
}

/// Makes a checkpoint: of what another one shows, or of the last manifest.
async fn mark(
    store: &Store,
    name: &str,
    lifetime: Option<Duration>,
    source: Option<Uuid>,
    limit: Duration,
) -> Result<Uuid, Error> {
    let options = CheckpointOptions { lifetime, source, name: Some(name.to_owned()) };
    within(store, limit, store.admin().create_detached_checkpoint(&options)).await.map(|made| made.id)
}

/// Makes a checkpoint of what another one shows, for somebody who reads, who [renews](renew) it.
pub(crate) async fn hold(store: &Store, source: Uuid, lifetime: Duration, limit: Duration) -> Result<Uuid, Error> {
    let options = CheckpointOptions { lifetime: Some(lifetime), source: Some(source), name: None };
    within(store, limit, store.admin().create_detached_checkpoint(&options)).await.map(|made| made.id)
}

/// Has a checkpoint live longer.
pub(crate) async fn renew(store: &Store, id: Uuid, lifetime: Duration, limit: Duration) -> Result<(), Error> {
    within(store, limit, store.admin().refresh_checkpoint(id, Some(lifetime))).await
}

/// Deletes a checkpoint.
pub(crate) async fn unmark(store: &Store, id: Uuid, limit: Duration) -> Result<(), Error> {
    within(store, limit, store.admin().delete_checkpoint(id)).await
}

/// What the database answers, within a limit: it tries again for ever.
async fn within<T>(
    store: &Store,
    limit: Duration,
    call: impl Future<Output = Result<T, slatedb::Error>>,
) -> Result<T, Error> {
    let answer = timeout(limit, call).await.map_err(|_| Error::Silent(store.url.clone()))?;
    answer.map_err(|source| Error::Metadata { url: store.url.clone(), source })
}
