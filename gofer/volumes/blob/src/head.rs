//! `head.json`: what the store must have at least, so that the loss of its newest objects is noticed.
//!
//! What is left without them is the volume as it was before, which fits together just as well. So whoever writes notes
//! how far it is, after a commit is durable: at most once a second, and no one waits for it. A note that is behind
//! claims less, and nothing wrong.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStoreExt, PutPayload};
use serde::{Deserialize, Serialize};
use tokio::time::sleep;
use uuid::Uuid;

use crate::meta::{Meta, View};
use crate::record::State;
use crate::superblock::Superblock;
use crate::volume::Volume;
use crate::{Error, Store, key};

/// The object's name.
const NAME: &str = "head.json";

/// How long at least from one note to the next.
const PAUSE: Duration = Duration::from_secs(1);

/// How often is looked whether a volume is closed.
const LOOK: Duration = Duration::from_millis(50);

/// How long the process that closes a volume may be silent.
const SILENCE: Duration = Duration::from_secs(5);

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's interface")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// How far the volume was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Head {
    /// Which volume.
    id: Uuid,
    /// Commits that were durable.
    pub(crate) commits: u64,
    /// The number of the database's manifest.
    manifest: u64,
    /// Whoever writes sends the last changes: a number that grows as long as that takes.
    #[serde(default, skip_serializing_if = "is_zero")]
    closing: u64,
    /// CRC-32 of all that. Those of before this program have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    crc: Option<u32>,
}

impl Head {
    /// A volume that is this far.
    pub(crate) fn new(superblock: &Superblock, commits: u64, manifest: u64) -> Self {
        Self::closing(superblock, commits, manifest, 0)
    }

    /// The same of one that is being closed, for the time `closing`.
    fn closing(superblock: &Superblock, commits: u64, manifest: u64, closing: u64) -> Self {
        let head = Head { id: superblock.id, commits, manifest, closing, crc: None };
        Head { crc: Some(head.checksum()), ..head }
    }

    fn checksum(&self) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(self.id.as_bytes());
        for number in [self.commits, self.manifest, self.closing] {
            hasher.update(&number.to_le_bytes());
        }
        hasher.finalize()
    }

    /// What was noted last. To be read before what it is compared with, which is never behind it then.
    pub(crate) async fn read(store: &Store, superblock: &Superblock) -> Result<Self, Error> {
        let failed = |source| Error::Store { url: store.url.clone(), source };
        let damaged = |what: String| Error::Damaged { url: store.url.clone(), what };
        let object = match store.objects.get(&Path::from(NAME)).await {
            Err(object_store::Error::NotFound { .. }) => return Err(damaged(format!("{NAME} is missing"))),
            other => other.map_err(failed)?,
        };
        let head: Head = serde_json::from_slice(&object.bytes().await.map_err(failed)?)
            .map_err(|error| damaged(format!("{NAME} cannot be read: {error}")))?;
        if head.crc.is_some_and(|crc| crc != head.checksum()) {
            return Err(damaged(format!("{NAME} is not what was written")));
        }
        if head.id == superblock.id { Ok(head) } else { Err(damaged(format!("{NAME} is another volume's"))) }
    }

    /// Notes it.
    pub(crate) async fn write(&self, store: &Store) -> Result<(), Error> {
        let json = serde_json::to_vec(self).expect("plain numbers and texts are JSON");
        let put = store.objects.put(&Path::from(NAME), PutPayload::from(json)).await;
        put.map(drop).map_err(|source| Error::Store { url: store.url.clone(), source })
    }

    /// What is wrong with a store that has less.
    fn missing(&self, state: &State, manifest: u64) -> Option<String> {
        let less = |what, there, then| {
            format!("its newest objects are missing: it ends with {what} {there}, and there was {then}")
        };
        if state.commits < self.commits {
            Some(less("commit", state.commits, self.commits))
        } else if manifest < self.manifest {
            Some(less("manifest", manifest, self.manifest))
        } else {
            None
        }
    }
}

/// How far the volume was, and its counters in the store; an error if its newest objects are missing. Nothing is
/// written: what others write next would take the place of what is missing.
pub(crate) async fn glance(store: &Store, superblock: &Superblock, limit: Duration) -> Result<(Head, State), Error> {
    let head = match Head::read(store, superblock).await {
        Err(error @ Error::Damaged { .. }) => {
            return Err(if was_opened(store, limit).await { error } else { unfinished(store) });
        }
        other => other?,
    };
    if let Some(parent) = superblock.missing_parent(store).await? {
        let what = format!("it is a clone of {parent}, which is not there any more");
        return Err(Error::Damaged { url: store.url.clone(), what });
    }
    let meta = Meta::read(store, View::Glance, limit).await?;
    let checked = async {
        let state = state(store, &meta).await?;
        let missing = head.missing(&state, meta.manifest());
        missing.map_or(Ok((head, state)), |what| Err(Error::Damaged { url: store.url.clone(), what }))
    };
    let checked = checked.await;
    meta.close().await;
    checked
}

/// The counters in a database.
pub(crate) async fn state(store: &Store, meta: &Meta) -> Result<State, Error> {
    let damaged = |what: &str| Error::Damaged { url: store.url.clone(), what: what.to_owned() };
    let state = meta.record("state", &key::state()).await.map_err(|_| damaged("its counters cannot be read"))?;
    // A process that died between the superblock and them.
    state.ok_or_else(|| unfinished(store))
}

/// What is left if whoever creates a volume dies.
fn unfinished(store: &Store) -> Error {
    let what = "it was not created completely; delete it and create it again".to_owned();
    Error::Damaged { url: store.url.clone(), what }
}

/// Whether a volume was ever opened for writing, as far as can be seen: then something may be in it.
async fn was_opened(store: &Store, limit: Duration) -> bool {
    let manifest = store.objects.list(Some(&"meta/manifest".into())).try_next().await;
    if matches!(manifest, Ok(None)) {
        return false;
    }
    let Ok(meta) = Meta::read(store, View::Glance, limit).await else { return true };
    let state = meta.record::<State>("state", &key::state()).await;
    meta.close().await;
    !matches!(state, Ok(None | Some(State { openings: 0, .. })))
}

/// Notes how far the volume is, again and again.
pub(crate) async fn follow(volume: Arc<Volume>) {
    let mut durable = volume.durable.subscribe();
    durable.mark_changed();
    while durable.changed().await.is_ok() {
        let commits = *durable.borrow_and_update();
        let head = Head::new(&volume.superblock, commits, volume.meta.manifest());
        if let Err(error) = head.write(&volume.store).await {
            tracing::debug!(%error, "how far the volume is cannot be noted; it will be retried");
            durable.mark_changed();
        }
        sleep(PAUSE).await;
    }
}

/// Notes that the volume is being closed, again and again.
pub(crate) async fn say_goodbye(volume: Arc<Volume>) {
    for closing in 1.. {
        let (commits, manifest) = (*volume.durable.borrow(), volume.meta.manifest());
        // If not, whoever comes does not know and does not wait.
        if let Err(error) = Head::closing(&volume.superblock, commits, manifest, closing).write(&volume.store).await {
            tracing::debug!(%error, "that the volume is being closed cannot be noted");
        }
        sleep(PAUSE).await;
    }
}

/// Waits as long as somebody else closes the volume. What is noted then.
pub(crate) async fn wait_for_goodbye(store: &Store, superblock: &Superblock) -> Result<Head, Error> {
    let mut last = (0, Instant::now());
    loop {
        let head = Head::read(store, superblock).await?;
        if head.closing != last.0 {
            last = (head.closing, Instant::now());
        }
        if head.closing == 0 || last.1.elapsed() >= SILENCE {
            return Ok(Head::new(superblock, head.commits, head.manifest));
        }
        sleep(LOOK).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn less_is_missing_and_more_is_not() {
        let head = Head { id: Uuid::nil(), commits: 7, manifest: 3, closing: 0, crc: None };
        let missing = |commits, manifest| head.missing(&State { commits, ..State::default() }, manifest);
        assert_eq!((missing(7, 3), missing(8, 4)), (None, None));
        let what = "its newest objects are missing: it ends with";
        assert_eq!(missing(6, 3), Some(format!("{what} commit 6, and there was 7")));
        assert_eq!(missing(7, 2), Some(format!("{what} manifest 2, and there was 3")));
    }
}
