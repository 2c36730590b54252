//! The suites.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Instant;

use super::case::{CaseResult, Outcome};
use super::context::Context;
use super::error::SuiteError;
use super::report::SuiteRun;
use super::{classic, fsx, mount, pjdfstest};

/// A suite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Suite {
    /// Ours.
    Mount,
    /// POSIX calls, by the crate of that name.
    Pjdfstest,
    /// The older pjdfstest, in this directory.
    Classic(PathBuf),
    /// Random reads and writes.
    Fsx,
}

impl Suite {
    /// All names.
    pub const NAMES: [&str; 4] = ["mount", "pjdfstest", "classic", "fsx"];

    /// Its name, in reports and on the command line.
    pub fn name(&self) -> &'static str {
        match self {
            Suite::Mount => "mount",
            Suite::Pjdfstest => "pjdfstest",
            Suite::Classic(_) => "classic",
            Suite::Fsx => "fsx",
        }
    }

    /// Whether it acts as other users than its own, who then have to be able to enter the file system.
    pub fn has_other_users(&self) -> bool {
        matches!(self, Suite::Pjdfstest | Suite::Classic(_))
    }

    /// Whether it needs root, to act as several users.
    pub fn needs_root(&self) -> bool {
        self.has_other_users()
    }

    /// Fails if it could not run here, whatever the file system.
    pub fn check(&self) -> Result<(), SuiteError> {
        match self {
            Suite::Mount => Ok(()),
            Suite::Pjdfstest => pjdfstest::check(),
            Suite::Classic(directory) => classic::check(directory),
            Suite::Fsx => fsx::check(),
        }
    }

    /// Runs it, as often as the settings say.
    pub(super) fn run(&self, context: Context<'_>) -> Result<SuiteRun, SuiteError> {
        let started = Instant::now();
        let mut cases: Vec<CaseResult> = Vec::new();
        for round in 0..context.settings.repeat.max(1) {
            if round > 0 && context.stop.cause().is_some() {
                break;
            }
            // Each time something else by chance.
            let settings =
                super::Settings { seed: context.settings.seed.wrapping_add(round.into()), ..context.settings.clone() };
            merge(&mut cases, self.once(Context { settings: &settings, ..context })?);
        }
        context.observer.over(self.name());
        Ok(SuiteRun { suite: self.name().to_owned(), cases, seconds: started.elapsed().as_secs_f64() })
    }

    fn once(&self, context: Context<'_>) -> Result<Vec<CaseResult>, SuiteError> {
        match self {
            Suite::Mount => Ok(mount::run(context, self.name())?),
            Suite::Pjdfstest => pjdfstest::run(context, self.name()),
            Suite::Classic(directory) => classic::run(context, self.name(), directory),
            Suite::Fsx => fsx::run(context, self.name()),
        }
    }
}

/// Adds another run: the first failure of a test counts.
fn merge(cases: &mut Vec<CaseResult>, more: Vec<CaseResult>) {
    let known: HashMap<String, usize> =
        cases.iter().enumerate().map(|(index, case)| (case.name.clone(), index)).collect();
    for case in more {
        let Some(before) = known.get(&case.name).and_then(|index| cases.get_mut(*index)) else {
            cases.push(case);
            continue;
        };
        before.seconds += case.seconds;
        if !matches!(before.outcome, Outcome::Failed(_)) && !matches!(case.outcome, Outcome::Skipped { .. }) {
            before.outcome = case.outcome;
            before.span = case.span;
        }
    }
}
