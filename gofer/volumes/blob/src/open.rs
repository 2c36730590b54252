//! Making and opening volumes.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use slatedb::WriteBatch;
use tokio::runtime::Runtime;
use tokio::time::sleep;
use uuid::Uuid;

use crate::head::{self, Head};
use crate::meta::{Meta, View};
use crate::node::ROOT;
use crate::presence::{Presence, Present};
use crate::record::{Inode, S_IFDIR, State, encode};
use crate::superblock::Superblock;
use crate::volume::{Volume, now};
use crate::{Error, Location, Store, key};

/// A volume that is open, with its threads. Dropping it makes everything durable and ends them.
pub struct Opened {
    volume: Arc<Volume>,
    committer: Option<JoinHandle<()>>,
    collector: Option<JoinHandle<()>>,
    head: Option<tokio::task::JoinHandle<()>>,
    runtime: Option<Runtime>,
    /// Last: dropped when all else is done.
    present: Option<Present>,
}

impl Opened {
    /// Makes a volume in a place where there is nothing.
    pub fn create(location: &Location) -> Result<(), Error> {
        Self::create_in(&Store::new(location)?, location)
    }

    /// [`create`](Self::create) in a store that is there already.
    pub fn create_in(store: &Store, location: &Location) -> Result<(), Error> {
        let runtime = runtime()?;
        block_on(&runtime, create(store, location)).map(drop)
    }

    /// Opens a volume. Who has it open for writing so far can write no more, unless this is only for reading.
    pub fn open(location: &Location) -> Result<Self, Error> {
        Self::open_in(Store::new(location)?, location)
    }

    /// [`open`](Self::open) in a store that is there already.
    pub fn open_in(store: Store, location: &Location) -> Result<Self, Error> {
        let runtime = runtime()?;
        let is_new = location.options.create || location.url.scheme() == "memory";
        let volume = block_on(&runtime, async {
            let superblock = match superblock(&store).await {
                Err(Error::Missing(_)) if is_new && !location.options.read_only => create(&store, location).await?,
                other => other?,
            };
            open(store, superblock, location, &runtime).await
        })?;
        // Dropped, it ends what has begun.
        let mut opened =
            Opened { volume, committer: None, collector: None, head: None, runtime: Some(runtime), present: None };
        if !location.options.read_only {
            let start = |name: &str, work: fn(&Arc<Volume>)| {
                let volume = opened.volume.clone();
                std::thread::Builder::new().name(name.into()).spawn(move || work(&volume)).map_err(Error::Threads)
            };
            let committer = start("blob-commit", Volume::commit_until_stopped)?;
            let collector = start("blob-collect", Volume::collect_until_stopped);
            opened.committer = Some(committer);
            opened.collector = Some(collector?);
            opened.head = Some(opened.volume.runtime.spawn(head::follow(opened.volume.clone())));
        }
        Ok(opened)
    }

    /// The same, which others know of by `presence` until it is closed.
    pub(crate) fn announced(mut self, presence: &Arc<Presence>) -> Self {
        self.present = Some(presence.enter(&self.volume));
        self
    }

    pub(crate) fn volume(&self) -> &Arc<Volume> {
        &self.volume
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        if let Some(present) = &self.present {
            present.leave();
        }
        if let Some(head) = self.head.take() {
            head.abort();
            // Whoever opens the volume next waits for what is still to be sent.
            if !self.volume.is_clean() && self.volume.check().is_ok() {
                self.head = Some(self.volume.runtime.spawn(head::say_goodbye(self.volume.clone())));
            }
        }
        // First: it may wait for a commit.
        self.volume.stop_collecting();
        for thread in [&mut self.collector, &mut self.committer] {
            if let Some(thread) = thread.take()
                && thread.join().is_err()
            {
                tracing::error!("a thread of the volume panicked");
            }
            self.volume.stop();
        }
        if let Some(head) = self.head.take() {
            head.abort();
        }
        if let Some(runtime) = self.runtime.take() {
            block_on(&runtime, close(&self.volume));
            runtime.shutdown_background();
        }
    }
}

/// Waits for what the database does when it is opened or closed, which is deeper than the stacks of most threads.
fn block_on<T>(runtime: &Runtime, call: impl Future<Output = T>) -> T {
    const ENOUGH: usize = 2 << 20;
    stacker::maybe_grow(ENOUGH, 2 * ENOUGH, || runtime.block_on(call))
}

pub(crate) fn runtime() -> Result<Runtime, Error> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("blob-store")
        .enable_all()
        .build()
        .map_err(Error::Threads)
}

/// The superblock of a volume that must be there.
pub(crate) async fn superblock(store: &Store) -> Result<Superblock, Error> {
    if let Some(superblock) = Superblock::read(store).await? {
        return Ok(superblock);
    }
    match store.any_object().await? {
        Some(found) => Err(Error::Foreign { url: store.url.clone(), found: found.to_string() }),
        None => Err(Error::Missing(store.url.clone())),
    }
}

/// Makes a volume with an empty root.
async fn create(store: &Store, location: &Location) -> Result<Superblock, Error> {
    let superblock = Superblock::create(store).await?;
    let meta = Meta::write(store, location.options.timeout).await?;
    let now = now();
    let root = Inode {
        mode: S_IFDIR | 0o755,
        nlink: 2,
        uid: rustix::process::geteuid().as_raw(),
        gid: rustix::process::getegid().as_raw(),
        atime: now,
        mtime: now,
        ctime: now,
        btime: now,
        parent: ROOT,
        ..Inode::default()
    };
    let state = State { next_ino: ROOT + 1, files: 1, is_closed: true, ..State::default() };
    let mut batch = WriteBatch::new();
    batch.put(key::inode(ROOT), encode(&root));
    batch.put(key::state(), encode(&state));
    let written = write(&meta, batch).await;
    meta.close().await;
    written.map_err(|failure| Error::Damaged {
        url: store.url.clone(),
        what: format!("it could not be filled: {failure:?}"),
    })?;
    Head::new(&superblock, state.commits, meta.manifest()).write(store).await?;
    Ok(superblock)
}

/// Closes the database, and notes before that nobody writes from now on. Nothing depends on it but how others find that
/// out.
async fn close(volume: &Volume) {
    let held = volume.held.lock().take();
    if let Some(held) = held {
        // If not, it expires.
        let _ = crate::admin::unmark(&volume.store, held, volume.options.timeout).await;
    }
    if volume.options.read_only || volume.check().is_err() || !volume.is_clean() {
        return volume.meta.close().await;
    }
    let state = State { is_closed: true, ..volume.take_doomed().1 };
    let mut batch = WriteBatch::new();
    batch.put(key::state(), encode(&state));
    let written = write(&volume.meta, batch).await;
    volume.meta.close().await;
    match written {
        Ok(()) => {
            let head = Head::new(&volume.superblock, state.commits, volume.meta.manifest());
            // If not, less is known to have been there.
            if let Err(error) = head.write(&volume.store).await {
                tracing::warn!(%error, "how far the volume is could not be noted");
            }
        }
        Err(failure) => tracing::debug!(?failure, "closing the volume"),
    }
}

async fn open(
    store: Store,
    superblock: Superblock,
    location: &Location,
    runtime: &Runtime,
) -> Result<Arc<Volume>, Error> {
    let options = &location.options;
    if options.read_only {
        return look(store, superblock, location, runtime).await;
    }
    let begun = Instant::now();
    let step = |what| tracing::debug!(what, after = ?begun.elapsed(), "opening the volume");
    let (recalling, memory) = store.recalling();
    // First: a volume that has lost something is left as it is.
    head::glance(&recalling, &superblock, options.timeout).await?;
    step("it is as far as was noted");
    // Last: whoever has just been told to close it may need a moment to say so.
    let head = head::wait_for_goodbye(&store, &superblock).await?;
    // The database would try again and again where the store does not let us write: its answer is wanted.
    head.write(&store).await?;
    let meta = Meta::write(&recalling, options.timeout).await?;
    step("nobody else writes");
    let damaged = |what: &str| Error::Damaged { url: store.url.clone(), what: what.to_owned() };
    let mut state = head::state(&store, &meta).await?;
    let was_closed = state.is_closed;
    // Before any segment has a number: whoever had the volume before may still be sending his.
    state.openings += 1;
    state.commits += 1;
    state.is_closed = false;
    let mut batch = WriteBatch::new();
    batch.put(key::state(), encode(&state));
    let written = write(&meta, batch).await;
    written.map_err(|failure| damaged(&format!("it cannot be written to: {failure:?}")))?;
    if !was_closed {
        // Or processes that die soon, again and again, would make the log long.
        meta.make_table();
    }
    let unreadable = |_| damaged("its files without a name cannot be read");
    let orphans = meta.scan(key::orphans(), usize::MAX).await.map_err(unreadable)?;
    let mut inodes = Vec::new();
    for ino in orphans.iter().filter_map(|record| key::ino_of(&record.key)) {
        let inode: Option<Inode> = meta.record("inode", &key::inode(ino)).await.map_err(unreadable)?;
        inodes.extend(inode.map(|inode| (ino, inode)));
    }
    memory.forget();
    let volume = Volume::new(superblock, options.clone(), store, meta, &state, runtime.handle().clone());
    for (ino, inode) in inodes {
        volume.doom(ino, &inode);
    }
    step("open");
    Ok(volume)
}

/// Opens a volume for reading.
async fn look(
    store: Store,
    superblock: Superblock,
    location: &Location,
    runtime: &Runtime,
) -> Result<Arc<Volume>, Error> {
    let options = &location.options;
    let mut held = None;
    let view = match &options.checkpoint {
        // What was kept is there, whatever else is not.
        Some(name) => {
            let kept = crate::admin::snapshot(&store, name, options.timeout).await?;
            held = hold(&store, kept, options.timeout).await;
            View::Checkpoint(held.unwrap_or(kept))
        }
        None => {
            head::glance(&store, &superblock, options.timeout).await?;
            View::Follow
        }
    };
    let meta = Meta::read(&store, view, options.timeout).await?;
    let state = head::state(&store, &meta).await?;
    let volume = Volume::new(superblock, options.clone(), store, meta, &state, runtime.handle().clone());
    if let Some(held) = held {
        runtime.spawn(keep(held, volume.store.clone(), options.timeout));
        *volume.held.lock() = Some(held);
    }
    Ok(volume)
}

/// How long a snapshot that is looked at stays if whoever does so dies.
const LIFETIME: Duration = Duration::from_secs(600);

/// Keeps what a snapshot shows, which may be deleted while it is looked at. Nothing if the store does not let us write.
async fn hold(store: &Store, snapshot: Uuid, limit: Duration) -> Option<Uuid> {
    /// The database would try again and again.
    const PATIENCE: Duration = Duration::from_secs(5);
    match crate::admin::hold(store, snapshot, LIFETIME, limit.min(PATIENCE)).await {
        Ok(held) => Some(held),
        Err(error) => {
            tracing::info!(%error, "nothing can be noted in the store; the snapshot must not be deleted while it is used");
            None
        }
    }
}

/// Has a checkpoint stay as long as the runtime is there.
async fn keep(held: Uuid, store: Store, limit: Duration) {
    loop {
        sleep(LIFETIME / 4).await;
        if let Err(error) = crate::admin::renew(&store, held, LIFETIME, limit).await {
            tracing::warn!(%error, "the snapshot may be deleted while it is used");
        }
    }
}

/// Writes a batch that is durable then.
pub(crate) async fn write(meta: &Meta, batch: WriteBatch) -> Result<(), crate::meta::Failure> {
    meta.apply(batch).await?;
    meta.flush().await
}
