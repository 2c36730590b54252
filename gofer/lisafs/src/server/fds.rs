//! The FDs of a connection.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;

use super::entry::{Content, EntryRef, Held, Kind, Pool, Share};
use crate::backend::{Error, Result};
use crate::wire::FdId;

const SHARDS: usize = 16;

/// Room for this many FDs per shard from the start.
const INITIAL: usize = 64;

/// All FDs of a connection by their number. Numbers count up from 1 and are never used again.
pub(super) struct FdTable {
    shards: [RwLock<Shard>; SHARDS],
    next: AtomicU64,
    pool: Arc<Pool>,
}

type Shard = HashMap<u64, EntryRef, BuildHasherDefault<FdHasher>>;

impl FdTable {
    /// A table for up to `most` FDs.
    pub(super) fn new(most: usize) -> Self {
        let shard = || RwLock::new(HashMap::with_capacity_and_hasher(INITIAL, BuildHasherDefault::default()));
        FdTable { shards: std::array::from_fn(|_| shard()), next: AtomicU64::new(1), pool: Pool::new(most) }
    }

    /// Takes the right to one more FD; `EMFILE` if the connection has its share.
    pub(super) fn reserve(&self) -> Result<Ticket<'_>> {
        Ok(Ticket { table: self, share: self.pool.reserve()? })
    }

    /// The FD `id` of kind `K`: `EBADF` if there is none, `EINVAL` if it is of another kind.
    pub(super) fn get<K: Kind>(&self, id: FdId) -> Result<Held<K>> {
        self.any(id)?.hold()
    }

    /// The FD `id` of whichever kind.
    pub(super) fn any(&self, id: FdId) -> Result<EntryRef> {
        self.shard(id).read().get(&id.0).cloned().ok_or(Error::BADF)
    }

    /// Takes `id` out of the table, if it is there.
    pub(super) fn close(&self, id: FdId) {
        let removed = self.shard(id).write().remove(&id.0);
        // Outside of the lock: closing a file may take a while.
        drop(removed);
    }

    /// Takes all FDs out of the table.
    pub(super) fn take_all(&self) -> impl Iterator<Item = EntryRef> {
        self.shards.iter().flat_map(|shard| std::mem::take(&mut *shard.write()).into_values())
    }

    fn shard(&self, id: FdId) -> &RwLock<Shard> {
        let index = id.0 % SHARDS as u64;
        &self.shards[usize::try_from(index).unwrap_or_default()]
    }
}

/// The right to one more FD.
pub(super) struct Ticket<'t> {
    table: &'t FdTable,
    share: Share,
}

impl<'t> Ticket<'t> {
    /// Makes the FD, which does not work yet.
    pub(super) fn fill(self, content: Content) -> NewFd<'t> {
        let id = FdId(self.table.next.fetch_add(1, Ordering::Relaxed));
        NewFd { id, entry: self.share.fill(content), table: self.table }
    }
}

/// An FD that is complete but not in the table yet. Dropping it forgets it.
pub(super) struct NewFd<'t> {
    /// Its number.
    pub(super) id: FdId,
    /// What it stands for.
    pub(super) entry: EntryRef,
    table: &'t FdTable,
}

impl NewFd<'_> {
    /// Makes the number work. The last thing that a handler does.
    pub(super) fn commit(self) {
        self.table.shard(self.id).write().insert(self.id.0, self.entry);
    }
}

/// Spreads numbers that the server itself has given out: nobody can choose them to collide.
#[derive(Default)]
struct FdHasher(u64);

impl Hasher for FdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0 ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32);
    }
}
