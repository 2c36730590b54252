//! Mending what needs no guess.

use futures::TryStreamExt;
use slatedb::WriteBatch;

use super::Manager;
use super::walk::Repair;
use crate::head::{self, Head};
use crate::meta::Meta;
use crate::record::encode;
use crate::{Error, key, segment};

impl Manager {
    /// Writes records as they should be.
    pub(super) fn repair(&self, repairs: Vec<Repair>, take_over: bool) -> Result<(), Error> {
        if !take_over && !self.wait(self.state())?.is_closed {
            return Err(Error::NoAnswer(self.store.url.clone()));
        }
        let opened = self.take_over()?;
        let volume = opened.volume();
        {
            let _barrier = volume.barrier.read();
            volume.change_metadata(repairs);
        }
        volume.sync().map_err(|_| self.damaged("it cannot be written to"))?;
        drop(opened);
        // Deletes the files that are marked now.
        drop(self.take_over()?);
        Ok(())
    }

    /// Takes what is left for all there is, and says what was missing.
    pub(super) async fn accept_loss(&self) -> Result<Option<String>, Error> {
        let lost = match self.state().await {
            Err(Error::Damaged { what, .. }) => what,
            other => return other.map(|_| None),
        };
        // Segments that only lost commits refer to may be there: no other one gets the number of such a one.
        let openings = self.last_opening().await?;
        let commits = Head::read(&self.store, &self.superblock).await.map_or(0, |head| head.commits);
        let meta = Meta::write(&self.store, self.limit()).await?;
        let mut state = head::state(&self.store, &meta).await?;
        (state.openings, state.commits) = (state.openings.max(openings), state.commits.max(commits));
        state.is_closed = true;
        let mut batch = WriteBatch::new();
        batch.put(key::state(), encode(&state));
        let written = crate::open::write(&meta, batch).await;
        meta.close().await;
        written.map_err(|failure| self.damaged(&format!("it cannot be written to: {failure:?}")))?;
        Head::new(&self.superblock, state.commits, meta.manifest()).write(&self.store).await?;
        Ok(Some(lost))
    }

    /// The last opening of which there is a segment.
    async fn last_opening(&self) -> Result<u32, Error> {
        let opening = |number: u64| u32::try_from(number >> 32).unwrap_or(u32::MAX);
        let objects = self.store.objects.list(Some(&"data".into()));
        let numbers = objects.map_ok(|object| segment::number_of(&object.location).map_or(0, opening));
        let last = numbers.try_fold(0, |last, opening| async move { Ok(last.max(opening)) }).await;
        last.map_err(|source| Error::Store { url: self.store.url.clone(), source })
    }
}
