//! Clones: volumes of their own that refer to data of others.
//!
//! The database copies its list of tables, not the tables. Chunks of the clone lead to segments of its ancestors, so
//! each ancestor gets a checkpoint of its own for the clone: the database's own is gone once the clone has rewritten
//! all tables, when segments are still in use.

use std::collections::HashSet;

use slatedb::{Checkpoint, CloneSourceSpec};
use uuid::Uuid;

use super::snapshot::CLONE;
use super::{Manager, checkpoints, mark, snapshot, unmark, within};
use crate::head::Head;
use crate::meta::View;
use crate::superblock::Superblock;
use crate::{Error, Location, Store};

fn name(id: Uuid, prefix: &object_store::path::Path) -> String {
    format!("{CLONE}{id}:{prefix}")
}

impl Manager {
    /// Makes a volume at `destination` that begins as this one is now, or was at a snapshot.
    pub fn clone_to(&self, destination: &Location, snapshot: Option<&str>, take_over: bool) -> Result<(), Error> {
        // Before anything is made there.
        if destination.url.scheme() != self.location.url.scheme() || !self.store.has_beside(&destination.url) {
            return Err(Error::NotBeside { url: destination.url.to_string(), parent: self.store.url.clone() });
        }
        self.clone_in(&Store::new(destination)?, snapshot, take_over)
    }

    /// [`clone_to`](Self::clone_to) in a store that is there already.
    pub fn clone_in(&self, store: &Store, snapshot: Option<&str>, take_over: bool) -> Result<(), Error> {
        if !self.store.is_beside(store) {
            return Err(Error::NotBeside { url: store.url.clone(), parent: self.store.url.clone() });
        }
        // A name that nobody else gives.
        let temporary = format!("clone-{}", Uuid::new_v4());
        let source = match snapshot {
            Some(name) => self.wait(snapshot::find(&self.store, name, self.limit()))?,
            None => self.keep(&temporary, take_over)?,
        };
        let made = self.wait(self.make_clone(store, source));
        if snapshot.is_none() {
            self.wait(unmark(&self.store, source, self.limit()))?;
        }
        made
    }

    async fn make_clone(&self, store: &Store, source: Uuid) -> Result<(), Error> {
        // First: a checkpoint for a clone whose place is empty is for nothing.
        let superblock = self.superblock.for_clone(&self.store.prefix).claim(store).await?;
        let name = name(superblock.id, &store.prefix);
        for ancestor in &self.superblock.ancestors {
            let there = self.store.at_prefix(&ancestor.prefix);
            let ours = self::name(self.superblock.id, &self.store.prefix);
            let held = snapshot::find(&there, &ours, self.limit()).await?;
            mark(&there, &name, None, Some(held), self.limit()).await?;
        }
        let held = mark(&self.store, &name, None, Some(source), self.limit()).await?;
        let admin = store.admin();
        let clone = admin.create_clone_builder_from_source(CloneSourceSpec::with_checkpoint(self.store.meta(), held));
        within(store, self.limit(), clone.build()).await?;
        let commits = self.state_in(View::Checkpoint(held)).await?.commits;
        Head::new(&superblock, commits, 0).write(store).await
    }

    /// Drops the checkpoints of clones that do not exist any more.
    pub(super) async fn drop_clones(&self) -> Result<(), Error> {
        let all = checkpoints(&self.store, self.limit()).await?;
        let (mut gone, mut needed) = (Vec::new(), HashSet::new());
        for checkpoint in &all {
            let Some((id, prefix)) = checkpoint.name.as_deref().and_then(parse) else { continue };
            let there = Superblock::read(&self.store.at_prefix(prefix)).await?;
            if there.is_some_and(|superblock| superblock.id == id) {
                needed.insert(checkpoint.manifest_id);
            } else {
                gone.push(checkpoint);
            }
        }
        // The database has made one more for each clone, of the same moment, which has no name and does not expire. It
        // does not say for which.
        let is_its_own = |checkpoint: &&Checkpoint| checkpoint.name.is_none() && checkpoint.expire_time.is_none();
        let lost: Vec<_> = all
            .iter()
            .filter(is_its_own)
            .filter(|it| {
                !needed.contains(&it.manifest_id) && gone.iter().any(|gone| gone.manifest_id == it.manifest_id)
            })
            .collect();
        for checkpoint in gone.into_iter().chain(lost) {
            unmark(&self.store, checkpoint.id, self.limit()).await?;
        }
        Ok(())
    }
}

/// The clone that a checkpoint is for, and where it is.
fn parse(name: &str) -> Option<(Uuid, &str)> {
    let (id, prefix) = name.strip_prefix(CLONE)?.split_once(':')?;
    Some((id.parse().ok()?, prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_to_clones() {
        let id = Uuid::new_v4();
        assert_eq!(parse(&name(id, &"a/b".into())), Some((id, "a/b")));
        assert_eq!((parse("clone:x:y"), parse("daily")), (None, None));
    }
}
