//! Runs of `fusebridge conform`.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use ::conform::report::Counts;
use ::conform::{CaseResult, Report};
use anyhow::{Context, Result, bail};

use crate::command::Outcome;
use crate::{bins, check, command, host, scratch};

/// Longer than all suites take in one mode on a slow and busy machine.
const LIMIT: Duration = Duration::from_secs(900);

/// What came of a run.
#[derive(Debug)]
pub struct Run {
    /// How the command ended and what it said.
    pub outcome: Outcome,
    /// The results, if it came to that.
    pub report: Option<Report>,
}

/// `fusebridge conform` with these arguments.
pub fn command<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Result<Command> {
    let mut command = Command::new(bins::fusebridge()?);
    command.arg("conform").args(arguments);
    Ok(command)
}

/// Runs it and reads its results.
pub fn run<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Result<Run> {
    finish(command(arguments)?)
}

/// Runs a `fusebridge conform` that has been made ready, and reads its results.
pub fn finish(mut command: Command) -> Result<Run> {
    let aside = scratch::memory()?;
    let json = aside.path().join("report.json");
    let outcome = command::run(command.arg("--json").arg(&json), LIMIT)?;
    let report = match std::fs::read_to_string(&json) {
        Ok(text) => Some(serde_json::from_str(&text).context("a report that cannot be read")?),
        Err(_) => None,
    };
    Ok(Run { outcome, report })
}

/// The list of tests that are expected to fail on the backend of this name.
#[must_use]
pub fn expectations(backend: &str) -> PathBuf {
    bins::workspace().join("fusebridge/conformance").join(format!("{backend}.expect"))
}

/// Fails unless nothing is mounted in this directory.
pub fn nothing_mounted(directory: &Path) -> Result<()> {
    let inside: Vec<_> = host::mounts()?.into_iter().filter(|(point, _)| point.starts_with(directory)).collect();
    check::equal("mounts", &inside, &Vec::new())
}

impl Run {
    /// Fails unless the command has ended with this status.
    pub fn ended_with(&self, status: i32) -> Result<()> {
        if self.outcome.status.code() != Some(status) {
            bail!("wanted exit status {status}: {}", self.outcome.describe());
        }
        Ok(())
    }

    /// The results.
    pub fn report(&self) -> Result<&Report> {
        self.report.as_ref().with_context(|| format!("no report: {}", self.outcome.describe()))
    }

    /// The tests of one suite, in the only mode.
    pub fn suite(&self, name: &str) -> Result<(&[CaseResult], Counts)> {
        let suites = self.report()?.modes.iter().flat_map(|run| &run.suites);
        let suite = suites.into_iter().find(|suite| suite.suite == name).with_context(|| format!("no suite {name}"))?;
        Ok((&suite.cases, suite.counts()))
    }

    /// The names of all tests that failed.
    pub fn failed(&self) -> Result<Vec<String>> {
        Ok(self.report()?.failures().map(|(key, _)| format!("{}/{}", key.suite, key.case)).collect())
    }
}
