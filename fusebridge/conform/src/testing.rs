//! A report for tests of what is made of reports.

use std::time::Duration;

use super::case::{CaseResult, Failure, Outcome};
use super::context::Settings;
use super::report::{FORMAT, Mode, ModeRun, Report, SuiteRun};

/// Only tests with this in their name.
pub(super) fn settings(filter: &str) -> Settings {
    Settings {
        filter: vec![filter.to_owned()],
        jobs: 1,
        repeat: 1,
        seed: 1,
        timeout: Duration::from_secs(60),
        fsx_runs: 1,
        fsx_operations: 1,
    }
}

/// A test that took half a second.
pub(super) fn case(name: &str, outcome: Outcome) -> CaseResult {
    let (name, about) = (name.to_owned(), "what <has> to hold & more".to_owned());
    CaseResult { name, about, outcome, seconds: 0.5, messages: Vec::new(), span: None }
}

/// A failure with three parts.
pub(super) fn failed() -> Outcome {
    Outcome::Failed(Failure::new("stat(a).st_nlink", "2", "1"))
}

/// A test that does not apply.
pub(super) fn skipped() -> Outcome {
    Outcome::Skipped { reason: "no such thing".to_owned() }
}

/// A report of one suite with these tests.
pub(super) fn with(cases: Vec<CaseResult>) -> Report {
    let mode = Mode { io: "auto".to_owned(), access: "shared".to_owned() };
    let suites = vec![SuiteRun { suite: "mount".to_owned(), cases, seconds: 1.5 }];
    Report {
        format: FORMAT,
        backend: "mem:".to_owned(),
        kernel: "6.18.0".to_owned(),
        version: "1.2.3".to_owned(),
        date: "2026-11-28T12:00:00Z".to_owned(),
        command: "fusebridge conform mem:".to_owned(),
        seed: 7,
        modes: vec![ModeRun { mode, suites }],
    }
}

/// One test that passed, one that failed, one that was skipped.
pub(super) fn report() -> Report {
    with(vec![case("links::two", Outcome::Passed), case("links::one", failed()), case("acl::one", skipped())])
}
