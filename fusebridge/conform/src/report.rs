//! The results of a run: modes, suites, tests. Its JSON is what baselines are compared with.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::case::{CaseResult, Outcome};

/// The format of the JSON. A change that old readers misunderstand gets a new number.
pub const FORMAT: u32 = 1;

/// The suite of the mount itself, which is there whatever else is run on it.
pub const LIFECYCLE: &str = "lifecycle";

/// What stands for `--io` and `--access` where nothing is mounted.
pub const NATIVE: &str = "native";

/// Everything that came of one command.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// The version of the report, [`FORMAT`].
    pub format: u32,
    /// What was tested, as on the command line.
    pub backend: String,
    /// The kernel's release.
    pub kernel: String,
    /// The version of the program, empty in old reports as the next two.
    #[serde(default)]
    pub version: String,
    /// When it began, in UTC.
    #[serde(default)]
    pub date: String,
    /// The command line.
    #[serde(default)]
    pub command: String,
    /// The number from which suites draw what they do by chance.
    pub seed: u64,
    /// One for each way to mount.
    pub modes: Vec<ModeRun>,
}

/// All suites in one mode.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ModeRun {
    /// How the backend was mounted.
    pub mode: Mode,
    /// The suites, in the order in which they ran.
    pub suites: Vec<SuiteRun>,
}

/// A way to mount.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Mode {
    /// The word for `--io`.
    pub io: String,
    /// The word for `--access`.
    pub access: String,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.io, self.access)
    }
}

/// One suite in one mode.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SuiteRun {
    /// Its name.
    pub suite: String,
    /// Its tests, in the order in which they ended.
    pub cases: Vec<CaseResult>,
    /// How long it took, in seconds.
    pub seconds: f64,
}

/// How many tests ended in which way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Tests that passed.
    pub passed: usize,
    /// Tests that failed.
    pub failed: usize,
    /// Tests that do not apply.
    pub skipped: usize,
}

/// What tells a test from all others of a report.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// How the backend was mounted.
    pub mode: Mode,
    /// The suite's name.
    pub suite: String,
    /// The test's name.
    pub case: String,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{} ({})", self.suite, self.case, self.mode)
    }
}

impl SuiteRun {
    /// How its tests ended.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for case in &self.cases {
            match case.outcome {
                Outcome::Passed => counts.passed += 1,
                Outcome::Failed(_) => counts.failed += 1,
                Outcome::Skipped { .. } => counts.skipped += 1,
            }
        }
        counts
    }
}

impl Report {
    /// All tests of all suites in all modes.
    pub fn cases(&self) -> impl Iterator<Item = (Key, &CaseResult)> {
        self.modes.iter().flat_map(|run| {
            run.suites.iter().flat_map(|suite| {
                suite.cases.iter().map(|case| {
                    (Key { mode: run.mode.clone(), suite: suite.suite.clone(), case: case.name.clone() }, case)
                })
            })
        })
    }

    /// Those that failed.
    pub fn failures(&self) -> impl Iterator<Item = (Key, &CaseResult)> {
        self.cases().filter(|(_, case)| case.failure().is_some())
    }
}
