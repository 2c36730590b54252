//! One test and how it ended.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::clock::Span;

/// How a test ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "lowercase")]
pub enum Outcome {
    /// All was as it should be.
    Passed,
    /// Something was not.
    Failed(Failure),
    /// It does not apply here.
    Skipped {
        /// Why not.
        reason: String,
    },
}

/// What went wrong in a test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What was done, such as a system call with its arguments.
    pub operation: String,
    /// What should have happened.
    pub expected: String,
    /// What happened instead.
    #[serde(alias = "came")]
    pub actual: String,
}

impl Failure {
    /// A failure from its three parts.
    pub fn new(operation: impl Into<String>, expected: impl Into<String>, actual: impl Into<String>) -> Self {
        Failure { operation: operation.into(), expected: expected.into(), actual: actual.into() }
    }

    /// A test that did not end in time.
    pub fn timed_out(operation: impl Into<String>, limit: Duration) -> Self {
        Failure::new(operation, format!("an end within {limit:?}"), "timed out")
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: expected {}, actual {}", self.operation, self.expected, self.actual)
    }
}

/// One test of a suite, after it has run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CaseResult {
    /// Its name, unique in the suite.
    pub name: String,
    /// What it is about; empty if the suite does not say.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub about: String,
    /// How it ended. Of several runs the first failure counts.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// How long it took, in seconds, all runs together.
    pub seconds: f64,
    /// The messages that went to and from the server meanwhile, one line for each. Only recorded for failures, and only
    /// if asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub messages: Vec<String>,
    /// When it ran; of several runs, the one whose outcome this is.
    #[serde(skip)]
    pub span: Option<Span>,
}

impl CaseResult {
    /// A test that ran in `span`.
    pub fn new(name: impl Into<String>, outcome: Outcome, span: Span) -> Self {
        CaseResult {
            name: name.into(),
            about: String::new(),
            outcome,
            seconds: span.duration().as_secs_f64(),
            messages: Vec::new(),
            span: Some(span),
        }
    }

    /// The same with what it is about.
    #[must_use]
    pub fn about(self, about: impl Into<String>) -> Self {
        CaseResult { about: about.into(), ..self }
    }

    /// The failure, if it is one.
    pub fn failure(&self) -> Option<&Failure> {
        match &self.outcome {
            Outcome::Failed(failure) => Some(failure),
            Outcome::Passed | Outcome::Skipped { .. } => None,
        }
    }
}
