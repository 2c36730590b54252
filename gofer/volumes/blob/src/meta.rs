//! The metadata database, to write or to look at.

use std::future::Future;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde::de::DeserializeOwned;
use slatedb::bytes::Bytes;
use slatedb::config::{
    CheckpointOptions, CheckpointScope, CloseOptions, CompactionWorkerOptions, CompactorOptions, CompressionCodec,
    DbReaderOptions, DurabilityLevel, FlushOptions, FlushType, GarbageCollectorOptions, ScanOptions, Settings,
};
use slatedb::db_cache::moka::{MokaCache, MokaCacheOptions};
use slatedb::manifest::SsTableView;
use slatedb::{Checkpoint, CloseReason, Db, DbReader, DbReaderMode, ErrorKind, KeyValue, SstBlockSize, WriteBatch};
use tokio::time::timeout;
use uuid::Uuid;

use crate::record::decode;
use crate::{Errno, Error, Store};

/// Bytes of metadata that are kept in memory.
const CACHE: u64 = 16 << 20;

/// Parts of tables that are compressed and read one by one. Of smaller ones a million files have so many that where they
/// are has no room in [`CACHE`].
const BLOCK: SstBlockSize = SstBlockSize::Block16Kib;

/// Bytes of a table that a scan asks for at once: by itself, the database asks for 4 KiB, waits, and asks for the next.
const SCAN_AHEAD: usize = 256 << 10;

/// How often a reader looks for what the writer has done.
const FOLLOW: Duration = Duration::from_secs(2);

/// How long a reader that does not follow keeps what it looks at.
const STAY: Duration = Duration::from_secs(60 * 60);

/// Objects of the log that are read by whoever opens the database after a crash, at most: when there are so many, what
/// is in them goes into a table. Each of them costs several requests then.
pub(crate) const LOGGED: u64 = 64;

/// Tables that are not merged yet, at most. Each is one more to look at for whoever reads, but whoever has to write one
/// more waits until some are merged, and somebody looks for that only every five seconds.
const UNMERGED: usize = 16;

/// What a reader sees.
#[derive(Clone, Copy, Debug)]
pub(crate) enum View {
    /// What the writer has made durable, within [`FOLLOW`].
    Follow,
    /// What is durable when it is opened, as long as it takes.
    Now,
    /// The same for a short look, which writes nothing and which nobody respects.
    Glance,
    /// What was durable at a checkpoint.
    Checkpoint(Uuid),
}

/// The database.
pub(crate) struct Meta {
    db: Kind,
    /// How long a call may take.
    limit: Duration,
    /// Somebody else writes now.
    fenced: AtomicBool,
    /// Objects of the log since the last table.
    logged: AtomicU64,
    /// A table is being made of them.
    makes_table: Arc<AtomicBool>,
}

enum Kind {
    Writer(Box<Db>),
    Reader(Box<DbReader>),
}

impl Meta {
    /// Opens it for writing. Who has it open so far can write no more.
    pub(crate) async fn write(store: &Store, limit: Duration) -> Result<Self, Error> {
        let mut settings = Settings {
            // Every commit says when it is to be durable.
            flush_interval: None,
            max_unflushed_bytes: 20 << 20,
            l0_sst_size_bytes: 8 << 20,
            l0_max_ssts: UNMERGED,
            l0_max_ssts_per_key: UNMERGED,
            compression_codec: COMPRESSION,
            // A store that is away is waited for; how long a caller waits is another matter.
            object_store_max_retries: None,
            compactor_options: Some(merging()),
            garbage_collector_options: Some(GarbageCollectorOptions::default()),
            ..Settings::default()
        };
        if !store.updates
            && let Some(collector) = &mut settings.garbage_collector_options
        {
            collector.boundary_files_enabled = false;
        }
        let db = Db::builder(store.meta(), store.root.clone())
            .with_settings(settings)
            .with_sst_block_size(BLOCK)
            .with_db_cache(Arc::new(cache()), 0)
            .build();
        let db = timeout(limit, db).await.map_err(|_| Error::Silent(store.url.clone()))?;
        let db = db.map_err(|source| Error::Metadata { url: store.url.clone(), source })?;
        Ok(Self::of(Kind::Writer(Box::new(db)), limit))
    }

    /// Opens it for reading.
    pub(crate) async fn read(store: &Store, view: View, limit: Duration) -> Result<Self, Error> {
        let (mode, poll) = match view {
            View::Follow => (DbReaderMode::ManagedCheckpoint, FOLLOW),
            View::Now => (DbReaderMode::ManagedCheckpoint, STAY),
            View::Glance => (DbReaderMode::FollowLatest, STAY),
            View::Checkpoint(id) => (DbReaderMode::Checkpoint(id), FOLLOW),
        };
        let lifetime = (3 * poll).max(DbReaderOptions::default().checkpoint_lifetime);
        let options =
            DbReaderOptions { manifest_poll_interval: poll, checkpoint_lifetime: lifetime, ..Default::default() };
        let db = DbReader::builder(store.meta(), store.root.clone())
            .with_reader_mode(mode)
            .with_options(options)
            .with_db_cache(Arc::new(cache()), 0)
            .build();
        let db = timeout(limit, db).await.map_err(|_| Error::Silent(store.url.clone()))?;
        let db = db.map_err(|source| Error::Metadata { url: store.url.clone(), source })?;
        Ok(Self::of(Kind::Reader(Box::new(db)), limit))
    }

    fn of(db: Kind, limit: Duration) -> Self {
        Meta { db, limit, fenced: AtomicBool::new(false), logged: AtomicU64::new(0), makes_table: Arc::default() }
    }

    /// How long a call may take.
    pub(crate) fn limit(&self) -> Duration {
        self.limit
    }

    /// The value of `key`.
    pub(crate) async fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Errno> {
        match &self.db {
            Kind::Writer(db) => self.within(db.get(key)).await,
            Kind::Reader(db) => self.within(db.get(key)).await,
        }
    }

    /// The record of `key`.
    pub(crate) async fn record<T: DeserializeOwned>(&self, what: &'static str, key: &[u8]) -> Result<Option<T>, Errno> {
        self.get(key).await?.map(|value| decode(what, &value)).transpose()
    }

    /// Up to `most` records from the start of `range`. What the store had to be asked for is kept in memory: who lists
    /// a directory looks at its files next.
    pub(crate) async fn scan(&self, range: Range<Vec<u8>>, most: usize) -> Result<Vec<KeyValue>, Errno> {
        let options = ScanOptions { read_ahead_bytes: SCAN_AHEAD, cache_blocks: true, ..ScanOptions::default() };
        self.scan_with(range, most, &options).await
    }

    /// All records of `range` that a crash would leave.
    pub(crate) async fn scan_durable(&self, range: Range<Vec<u8>>) -> Result<Vec<KeyValue>, Errno> {
        let options = ScanOptions {
            durability_filter: DurabilityLevel::Remote,
            read_ahead_bytes: SCAN_AHEAD,
            ..ScanOptions::default()
        };
        self.scan_with(range, usize::MAX, &options).await
    }

    async fn scan_with(
        &self,
        range: Range<Vec<u8>>,
        most: usize,
        options: &ScanOptions,
    ) -> Result<Vec<KeyValue>, Errno> {
        let mut found = Vec::new();
        let mut records = match &self.db {
            Kind::Writer(db) => self.within(db.scan_with_options(range, options)).await?,
            Kind::Reader(db) => self.within(db.scan_with_options(range, options)).await?,
        };
        while found.len() < most {
            match self.within(records.next()).await? {
                Some(record) => found.push(record),
                None => break,
            }
        }
        Ok(found)
    }

    /// Applies `batch`, all of it or nothing. It is durable after the next [`flush`](Self::flush).
    pub(crate) async fn apply(&self, batch: WriteBatch) -> Result<(), Failure> {
        let Kind::Writer(db) = &self.db else { unreachable!("a volume that is only read has no commits") };
        db.write(batch).await.map(drop).map_err(|error| self.failure(&error))
    }

    /// Makes all that was applied durable.
    pub(crate) async fn flush(&self) -> Result<(), Failure> {
        let Kind::Writer(db) = &self.db else { unreachable!("a volume that is only read has no commits") };
        match timeout(self.limit, db.flush()).await {
            Ok(flushed) => flushed.map_err(|error| self.failure(&error))?,
            Err(_) => return Err(Failure::Passing("it does not answer".to_owned())),
        }
        if self.logged.fetch_add(1, Ordering::Relaxed) + 1 >= LOGGED {
            self.make_table();
        }
        Ok(())
    }

    /// Whether there can be one more table, and another one after it.
    fn has_room(&self) -> bool {
        match &self.db {
            Kind::Writer(db) => db.manifest().l0().len() + 2 < UNMERGED,
            Kind::Reader(_) => false,
        }
    }

    /// Has what is in the log put into a table, if there is room for one. Nobody waits for that.
    pub(crate) fn make_table(&self) {
        let Kind::Writer(db) = &self.db else { unreachable!("a volume that is only read has no log") };
        if !self.has_room() || self.makes_table.swap(true, Ordering::AcqRel) {
            return;
        }
        self.logged.store(0, Ordering::Relaxed);
        let (db, makes_table) = (Db::clone(db), self.makes_table.clone());
        tokio::spawn(async move {
            // What fails here fails again where somebody waits for it.
            if let Err(error) = db.flush_with_options(FlushOptions { flush_type: FlushType::MemTable }).await {
                tracing::debug!(%error, "no table could be made of the log");
            }
            makes_table.store(false, Ordering::Release);
        });
    }

    /// Has checkpoints from now on see all that was applied before, wherever they are made.
    pub(crate) async fn flush_for_checkpoints(&self) -> Result<(), Failure> {
        let Kind::Writer(db) = &self.db else { unreachable!("a volume that is only read has nothing to flush") };
        let flush = db.flush_with_options(FlushOptions { flush_type: FlushType::MemTable });
        match timeout(self.limit, flush).await {
            Ok(flushed) => flushed.map_err(|error| self.failure(&error)),
            Err(_) => Err(Failure::Passing("it does not answer".to_owned())),
        }
    }

    /// Keeps what was applied so far, under a name.
    pub(crate) async fn keep(&self, name: &str) -> Result<(), Failure> {
        let Kind::Writer(db) = &self.db else { unreachable!("a volume that is only read keeps nothing") };
        let options = CheckpointOptions { name: Some(name.to_owned()), ..CheckpointOptions::default() };
        match timeout(self.limit, db.create_checkpoint(CheckpointScope::All, &options)).await {
            Ok(kept) => kept.map(drop).map_err(|error| self.failure(&error)),
            Err(_) => Err(Failure::Passing("it does not answer".to_owned())),
        }
    }

    /// The checkpoints that there were a moment ago.
    pub(crate) fn checkpoints(&self) -> Vec<Checkpoint> {
        match &self.db {
            Kind::Writer(db) => db.manifest().checkpoints().clone(),
            Kind::Reader(db) => db.manifest().checkpoints().clone(),
        }
    }

    /// The number of the last manifest that is known.
    pub(crate) fn manifest(&self) -> u64 {
        match &self.db {
            Kind::Writer(db) => db.manifest().id(),
            Kind::Reader(db) => db.manifest().id(),
        }
    }

    /// Bytes of the tables that are in use.
    pub(crate) fn table_bytes(&self) -> u64 {
        let manifest = match &self.db {
            Kind::Writer(db) => db.manifest(),
            Kind::Reader(db) => db.manifest(),
        };
        manifest.all_sst_views().map(SsTableView::estimate_size).sum()
    }

    /// A number that grows with what can be seen.
    pub(crate) fn version(&self) -> u64 {
        match &self.db {
            Kind::Writer(_) => 0,
            Kind::Reader(db) => db.status().durable_seq,
        }
    }

    /// Closes it.
    pub(crate) async fn close(&self) {
        let closed = match &self.db {
            Kind::Writer(db) => {
                // Without room for a table, this would wait until others are merged.
                let flush = if self.has_room() { FlushType::MemTable } else { FlushType::Wal };
                let options = CloseOptions::default().with_flush_type(Some(flush));
                timeout(self.limit, db.close_with_options(options)).await
            }
            Kind::Reader(db) => timeout(self.limit, db.close()).await,
        };
        match closed {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "closing the metadata"),
            Err(_) => tracing::warn!("the metadata could not be closed in time"),
        }
    }

    /// Whether somebody else writes now, and nothing can be read or written here any more.
    pub(crate) fn is_fenced(&self) -> bool {
        self.fenced.load(Ordering::Acquire)
    }

    /// What an error means, whichever call has it first.
    fn failure(&self, error: &slatedb::Error) -> Failure {
        let ErrorKind::Closed(CloseReason::Fenced) = error.kind() else {
            return Failure::Passing(crate::error::reason(error));
        };
        if !self.fenced.swap(true, Ordering::AcqRel) {
            tracing::error!(
                "another process writes to this volume now; changes that were not durable yet are lost, and all operations \
                 fail from here on"
            );
        }
        Failure::Fenced
    }

    async fn within<T>(&self, call: impl Future<Output = Result<T, slatedb::Error>>) -> Result<T, Errno> {
        match timeout(self.limit, call).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => {
                if !matches!(self.failure(&error), Failure::Fenced) {
                    tracing::error!(error = crate::error::reason(&error), "cannot read metadata");
                }
                Err(Errno::IO)
            }
            Err(_) => {
                tracing::error!("the store has not answered in time");
                Err(Errno::IO)
            }
        }
    }
}

/// Why a commit failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Somebody else writes now: nothing of ours will be written any more.
    Fenced,
    /// It may work the next time.
    Passing(String),
}

/// How tables are compressed: records of files that were made together have much in common.
const COMPRESSION: Option<CompressionCodec> = Some(CompressionCodec::Lz4);

/// How tables are merged: with little memory, by one process.
fn merging() -> CompactorOptions {
    let worker = CompactionWorkerOptions {
        max_concurrent_compactions: 1,
        max_subcompactions: 1,
        // Of each of up to eight tables, and of each run of them.
        bytes_to_fetch: 512 << 10,
        max_fetch_tasks: 1,
        max_sst_size: 16 << 20,
        compression_codec: COMPRESSION,
        // Who died while merging has left a job that nobody else does before this is over, and new tables wait for it.
        heartbeat_interval: Duration::from_secs(3),
        ..CompactionWorkerOptions::default()
    };
    CompactorOptions {
        max_concurrent_compactions: 1,
        worker: Some(worker),
        worker_heartbeat_timeout: Duration::from_secs(10),
        ..CompactorOptions::default()
    }
}

fn cache() -> MokaCache {
    MokaCache::new_with_opts(MokaCacheOptions { max_capacity: CACHE, time_to_live: None, time_to_idle: None })
}
