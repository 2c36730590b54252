//! Mending what needs no guess.

use super::Manager;
use super::walk::Repair;
use crate::Error;

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
            volume.overlay.apply(repairs);
            volume.commits.changed();
        }
        volume.sync().map_err(|_| self.damaged("it cannot be written to"))?;
        drop(opened);
        // Deletes the files that are marked now.
        drop(self.take_over()?);
        Ok(())
    }
}
