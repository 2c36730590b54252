//! Making and opening volumes.

use std::sync::Arc;
use std::thread::JoinHandle;

use slatedb::WriteBatch;
use slatedb::admin::Admin;
use tokio::runtime::Runtime;
use uuid::Uuid;

use crate::meta::{Meta, PATH};
use crate::node::ROOT;
use crate::record::{Inode, S_IFDIR, State, encode};
use crate::superblock::Superblock;
use crate::volume::{Volume, now};
use crate::{Error, Location, Store, key};

/// A volume that is open, with its threads. Dropping it makes everything durable and ends them.
pub struct Opened {
    volume: Arc<Volume>,
    committer: Option<JoinHandle<()>>,
    runtime: Option<Runtime>,
}

impl Opened {
    /// Makes a volume in a place where there is nothing.
    pub fn create(location: &Location) -> Result<(), Error> {
        let runtime = runtime()?;
        runtime.block_on(create(&Store::new(location)?, location)).map(drop)
    }

    /// Opens a volume. Who has it open for writing so far can write no more, unless this is only for reading.
    pub fn open(location: &Location) -> Result<Self, Error> {
        Self::open_in(Store::new(location)?, location)
    }

    /// [`open`](Self::open) in a store that is there already.
    pub fn open_in(store: Store, location: &Location) -> Result<Self, Error> {
        let runtime = runtime()?;
        let is_new = location.options.create || location.url.scheme() == "memory";
        let volume = runtime.block_on(async {
            let superblock = match Superblock::read(&store).await? {
                Some(superblock) => superblock,
                None if is_new && !location.options.read_only => create(&store, location).await?,
                None => match store.any_object().await? {
                    Some(found) => return Err(Error::Foreign { url: store.url.clone(), found: found.to_string() }),
                    None => return Err(Error::Missing(store.url.clone())),
                },
            };
            open(store, superblock, location, &runtime).await
        })?;
        let committer = if location.options.read_only {
            None
        } else {
            let volume = volume.clone();
            let thread = std::thread::Builder::new().name("blob-commit".into());
            Some(thread.spawn(move || volume.commit_until_stopped()).map_err(Error::Threads)?)
        };
        Ok(Opened { volume, committer, runtime: Some(runtime) })
    }

    /// The volume.
    pub(crate) fn volume(&self) -> &Arc<Volume> {
        &self.volume
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.volume.stop();
        if let Some(committer) = self.committer.take()
            && committer.join().is_err()
        {
            tracing::error!("the thread that commits has panicked");
        }
        if let Some(runtime) = self.runtime.take() {
            runtime.block_on(self.volume.meta.close());
            runtime.shutdown_background();
        }
    }
}

fn runtime() -> Result<Runtime, Error> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("blob-store")
        .enable_all()
        .build()
        .map_err(Error::Threads)
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
    let state = State { next_ino: ROOT + 1, openings: 0, commits: 0, files: 1, bytes: 0 };
    let mut batch = WriteBatch::new();
    batch.put(key::inode(ROOT), encode(&root));
    batch.put(key::state(), encode(&state));
    let written = write(&meta, batch).await;
    meta.close().await;
    let damaged =
        |failure| Error::Damaged { url: store.url.clone(), what: format!("it could not be filled: {failure:?}") };
    written.map(|()| superblock).map_err(damaged)
}

async fn open(
    store: Store,
    superblock: Superblock,
    location: &Location,
    runtime: &Runtime,
) -> Result<Arc<Volume>, Error> {
    let options = &location.options;
    let meta = if options.read_only {
        let checkpoint = match &options.checkpoint {
            Some(name) => Some(checkpoint(&store, name).await?),
            None => None,
        };
        Meta::read(&store, checkpoint, options.timeout).await?
    } else {
        Meta::write(&store, options.timeout).await?
    };
    let damaged = |what: &str| Error::Damaged { url: store.url.clone(), what: what.to_owned() };
    let state = meta.record("state", &key::state()).await.map_err(|_| damaged("its counters cannot be read"))?;
    // A process that died between the superblock and this.
    let mut state: State = state.ok_or_else(|| damaged("it was not made to the end; delete it and make it again"))?;
    if options.read_only {
        return Ok(Volume::new(superblock, options.clone(), store, meta, &state, runtime.handle().clone()));
    }
    // Before any segment has a number: whoever had the volume before may still be sending his.
    state.openings += 1;
    let mut batch = WriteBatch::new();
    batch.put(key::state(), encode(&state));
    let written = write(&meta, batch).await;
    written.map_err(|failure| damaged(&format!("it cannot be written to: {failure:?}")))?;
    let unreadable = |_| damaged("its files without a name cannot be read");
    let orphans = meta.scan(key::orphans(), usize::MAX).await.map_err(unreadable)?;
    let mut inodes = Vec::new();
    for ino in orphans.iter().filter_map(|record| key::ino_of(&record.key)) {
        let inode: Option<Inode> = meta.record("inode", &key::inode(ino)).await.map_err(unreadable)?;
        inodes.extend(inode.map(|inode| (ino, inode)));
    }
    let volume = Volume::new(superblock, options.clone(), store, meta, &state, runtime.handle().clone());
    for (ino, inode) in inodes {
        volume.doom(ino, &inode);
    }
    Ok(volume)
}

async fn write(meta: &Meta, batch: WriteBatch) -> Result<(), crate::meta::Failure> {
    meta.apply(batch).await?;
    meta.flush().await
}

/// The checkpoint of a name.
async fn checkpoint(store: &Store, name: &str) -> Result<Uuid, Error> {
    let admin = Admin::builder(PATH, store.objects.clone()).build();
    let all = admin.list_checkpoints(Some(name)).await;
    let all = all.map_err(|source| Error::Metadata { url: store.url.clone(), source })?;
    let newest =
        all.into_iter().filter(|checkpoint| checkpoint.name.as_deref() == Some(name)).max_by_key(|it| it.create_time);
    newest
        .map(|checkpoint| checkpoint.id)
        .ok_or_else(|| Error::NoCheckpoint { url: store.url.clone(), name: name.to_owned() })
}
