//! Snapshots: moments that are kept under a name.

use std::time::Duration;

use serde::Serialize;
use slatedb::Checkpoint;
use uuid::Uuid;

use super::{Manager, checkpoints, mark, unmark};
use crate::collect::{DO, SNAPSHOT};
use crate::meta::View;
use crate::{Error, Store};

/// Begins the names of checkpoints for clones; the clone's identity and place follow.
pub(super) const CLONE: &str = "clone:";

/// A moment that is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Snapshot {
    /// Its name; empty for those that readers have.
    pub name: String,
    /// Who needs it.
    pub kind: SnapshotKind,
    /// When it was made, in seconds since 1970.
    pub created: i64,
    /// When it is forgotten, in seconds since 1970, unless somebody renews it.
    pub expires: Option<i64>,
}

/// Who needs a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SnapshotKind {
    /// Somebody who has given it a name.
    Named,
    /// A clone.
    Clone,
    /// A process that reads, or the database itself.
    Reader,
}

/// The checkpoint of the snapshot `name`.
pub(crate) async fn find(store: &Store, name: &str, limit: Duration) -> Result<Uuid, Error> {
    let all = checkpoints(store, limit).await?;
    let named = all.into_iter().find(|checkpoint| checkpoint.name.as_deref() == Some(name));
    named
        .map(|checkpoint| checkpoint.id)
        .ok_or_else(|| Error::NoCheckpoint { url: store.url.clone(), name: name.to_owned() })
}

impl Manager {
    /// Keeps the volume as it is in the store now under a name.
    pub fn snapshot(&self, name: &str, take_over: bool) -> Result<(), Error> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if name.is_empty() || name.len() > 64 || !name.bytes().all(is_plain) {
            return Err(Error::SnapshotName(name.to_owned()));
        }
        self.wait(async {
            match find(&self.store, name, self.limit()).await {
                Ok(_) => Err(Error::SnapshotExists { url: self.store.url.clone(), name: name.to_owned() }),
                Err(Error::NoCheckpoint { .. }) => Ok(()),
                Err(error) => Err(error),
            }
        })?;
        self.keep(name, take_over).map(drop)
    }

    /// Forgets a snapshot.
    pub fn delete_snapshot(&self, name: &str) -> Result<(), Error> {
        self.wait(async {
            self.state().await?;
            let id = find(&self.store, name, self.limit()).await?;
            unmark(&self.store, id, self.limit()).await
        })
    }

    /// All moments that are kept.
    pub fn snapshots(&self) -> Result<Vec<Snapshot>, Error> {
        let all = self.wait(checkpoints(&self.store, self.limit()))?;
        let shown = |checkpoint: Checkpoint| {
            let name = checkpoint.name.unwrap_or_default();
            let kind = match &name {
                _ if name.is_empty() => SnapshotKind::Reader,
                _ if name.starts_with(CLONE) => SnapshotKind::Clone,
                _ if name.starts_with(DO) => return None,
                _ => SnapshotKind::Named,
            };
            let expires = checkpoint.expire_time.map(|time| time.timestamp());
            Some(Snapshot { name, kind, created: checkpoint.create_time.timestamp(), expires })
        };
        Ok(all.into_iter().filter_map(shown).collect())
    }

    /// Makes a checkpoint of all that is in the store now. Only whoever writes knows what that is.
    pub(super) fn keep(&self, name: &str, take_over: bool) -> Result<Uuid, Error> {
        let state = self.wait(self.state())?;
        if take_over && !state.is_closed {
            let opened = self.take_over()?;
            let volume = opened.volume();
            if volume.wait(volume.meta.keep(name)).is_err() {
                return Err(self.damaged("it cannot be written to"));
            }
            return self.wait(find(&self.store, name, self.limit()));
        }
        self.wait(async {
            if !state.is_closed {
                self.ask(&format!("{SNAPSHOT}{name}")).await?;
                return find(&self.store, name, self.limit()).await.map_err(|error| match error {
                    Error::NoCheckpoint { url, .. } => Error::Refused(url),
                    other => other,
                });
            }
            let id = mark(&self.store, name, None, None, self.limit()).await?;
            // Whoever has closed it has left nothing that the last manifest does not know, and nobody has opened it
            // since.
            if self.state_in(View::Checkpoint(id)).await? == state {
                return Ok(id);
            }
            unmark(&self.store, id, self.limit()).await?;
            Err(Error::NoAnswer(self.store.url.clone()))
        })
    }
}
