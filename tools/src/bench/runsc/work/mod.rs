//! What containers do, and what that takes of their gofer and their sandbox.

mod files;
mod kinds;
mod messages;
mod place;
mod shell;
mod table;

use std::fmt::Write as _;

use anyhow::Result;
use e2e::modes::Access;
use e2e::sandbox::Runsc;
use e2e::scratch;
use tempfile::TempDir;

use super::table::{Samples, Way};
use crate::bench::quietness::Quietness;
use messages::Counts;
use place::{Place, Setting};
use table::{Rows, Turn};

pub(super) use kinds::{Kind, Sizes};

/// What is done, and how.
pub(super) struct Work {
    kinds: Vec<Kind>,
    sizes: Sizes,
    access: Access,
    /// So many processes want the processors meanwhile.
    busy: usize,
    /// What containers get copies of.
    files: TempDir,
}

/// What came of it with one runsc.
#[derive(Default)]
pub(super) struct Results {
    turns: Rows<Turn>,
    counts: Rows<Counts>,
    quietness: Quietness,
}

impl Work {
    /// Makes the files.
    pub(super) fn new(kinds: &[Kind], sizes: Sizes, access: Access, busy: usize) -> Result<Self> {
        let files = scratch::memory()?;
        files::make(files.path(), &sizes, kinds)?;
        Ok(Self { kinds: kinds.to_vec(), sizes, access, busy, files })
    }

    /// Measures one round. The memory of the gofers goes to `samples`.
    pub(super) fn measure(
        &self,
        runsc: &Runsc,
        order: [Way; 3],
        results: &mut Results,
        samples: &mut Samples,
    ) -> Result<()> {
        let mut places = self.places(runsc, order, false)?;
        for place in &places {
            samples.add(place.way, place.memory(["resident at first", "private at first"])?);
        }
        for row in self.sizes.rows(&self.kinds) {
            for _ in 0..row.turns {
                // They take turns with each row, so that a slow moment of the machine does not hit only one of them.
                places.rotate_left(1);
                for place in &mut places {
                    results.quietness.look();
                    results.turns.add(&row, place.way, place.measure(&row, self.busy)?);
                }
            }
        }
        for place in &places {
            samples.add(place.way, place.memory(["resident at last", "private at last"])?);
        }
        places.into_iter().try_for_each(Place::end)
    }

    /// Counts messages. A sandbox that tells of them takes longer, so that nothing else is measured.
    pub(super) fn count(&self, runsc: &Runsc, results: &mut Results) -> Result<()> {
        let mut places = self.places(runsc, Way::ALL, true)?;
        for row in self.sizes.rows(&self.kinds) {
            for place in &mut places {
                results.counts.add(&row, place.way, place.count(&row)?);
            }
        }
        places.into_iter().try_for_each(Place::end)
    }

    fn places(&self, runsc: &Runsc, order: [Way; 3], logs: bool) -> Result<Vec<Place>> {
        let setting = Setting { runsc, access: self.access, files: self.files.path(), logs };
        order.into_iter().map(|way| Place::start(setting, way)).collect()
    }

    /// The tables of one runsc.
    pub(super) fn markdown(&self, results: &Results, runsc: &Runsc, rounds: usize) -> String {
        let (setting, mut text) = (format!("On {runsc}, {} mounts", self.access.word()), String::new());
        if !results.turns.is_empty() {
            let table = results.turns.markdown();
            let busy = if self.busy > 0 { format!(", busy processes beside: {}", self.busy) } else { String::new() };
            _ = write!(
                text,
                "{setting}{busy}, median of {rounds}, less is better. Processor time in ms and context switches for each \
                 operation (voluntary/involuntary) are those of the gofer, with the volume server, + those of the \
                 sandbox:\n\n{table}\n{}\n\n",
                results.quietness
            );
        }
        if !results.counts.is_empty() {
            let table = results.counts.markdown();
            _ = write!(text, "{setting}, messages of the sandbox for each operation:\n\n{table}\n");
        }
        text
    }
}
