//! Checking a volume: every invariant of its layout, on a view that stays as it is while others write.

mod deep;
mod objects;
mod repair;
mod sorted;
mod verdict;
mod walk;

use serde::Serialize;

use self::walk::Walk;
use super::{Manager, snapshot};
use crate::Error;
use crate::meta::{Meta, View};

/// How a volume is checked.
#[derive(Clone, Debug, Default)]
pub struct CheckOptions {
    /// Reads all data, too.
    pub deep: bool,
    /// Repairs what needs no guess: counts, and what nothing leads to.
    pub repair: bool,
    /// Repairs although somebody may write, who then can no more.
    pub take_over: bool,
    /// Goes on from what is left if the store has lost its newest objects. Whoever may still write can no more.
    pub accept_loss: bool,
    /// Looks at a snapshot.
    pub snapshot: Option<String>,
}

/// Hears how far a check is.
pub trait Progress {
    /// Something else begins, with so many steps, if that is known.
    fn begin(&self, what: &'static str, steps: Option<u64>);

    /// So many steps are done.
    fn advance(&self, steps: u64);
}

/// Nobody wants to know.
impl Progress for () {
    fn begin(&self, _: &'static str, _: Option<u64>) {}

    fn advance(&self, _: u64) {}
}

/// What a check has found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Records of the metadata that were looked at.
    pub records: u64,
    /// Files of all types.
    pub files: u64,
    /// Segments that files refer to.
    pub segments: u64,
    /// Bytes of data that were read.
    pub read: u64,
    /// Files without a name, which the next process that writes deletes.
    pub nameless: u64,
    /// Objects that uploads before a crash have left, which the collector deletes.
    pub orphans: u64,
    /// What is wrong, a line each.
    pub problems: Vec<String>,
    /// What was wrong and is mended, a line each.
    pub repaired: Vec<String>,
}

impl Report {
    /// Whether all is well.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.problems.is_empty()
    }

    fn problem(&mut self, what: impl Into<String>) {
        /// Nobody reads more, and a volume can be damaged in as many places as it has.
        const MOST: usize = 10_000;
        if self.problems.len() < MOST {
            self.problems.push(what.into());
        }
    }
}

impl Manager {
    /// Checks the volume. Errors are those that keep it from being checked.
    pub fn check(&self, options: &CheckOptions, progress: &dyn Progress) -> Result<Report, Error> {
        let accepted = if options.accept_loss { self.wait(self.accept_loss())? } else { None };
        let (mut report, repairs) = self.wait(self.look(options, progress))?;
        if options.repair && !repairs.is_empty() {
            self.repair(repairs, options.take_over)?;
            let mut after = self.wait(self.look(options, progress))?.0;
            after.repaired = report.problems.into_iter().filter(|problem| !after.problems.contains(problem)).collect();
            report = after;
        }
        report.repaired.splice(0..0, accepted);
        Ok(report)
    }

    async fn look(
        &self,
        options: &CheckOptions,
        progress: &dyn Progress,
    ) -> Result<(Report, Vec<walk::Repair>), Error> {
        let mut lost = None;
        let view = match &options.snapshot {
            Some(name) => View::Checkpoint(snapshot::find(&self.store, name, self.limit()).await?),
            None => match self.state().await {
                Ok(_) => View::Now,
                // Nobody writes to what others refuse to open, and nothing is written to it here.
                Err(Error::Damaged { what, .. }) => {
                    lost = Some(what);
                    View::Glance
                }
                Err(error) => return Err(error),
            },
        };
        let meta = Meta::read(&self.store, view, self.limit()).await?;
        let walked = Walk::new(&self.superblock).all(&meta, progress).await;
        let done = match walked {
            Ok(mut walk) => {
                walk.judge();
                let done = self.check_objects(&mut walk, options, progress).await;
                done.map(|()| (walk.report, walk.repairs))
            }
            Err(what) => {
                let mut report = Report::default();
                report.problem(what);
                Ok((report, Vec::new()))
            }
        };
        meta.close().await;
        let (mut report, repairs) = done?;
        report.problems.splice(0..0, lost);
        Ok((report, repairs))
    }
}
