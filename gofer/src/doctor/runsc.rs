//! The real runsc.

use std::path::PathBuf;

use super::child::{self, Timeout};
use super::{Finding, Level, program};
use crate::runsc::shim;

const SUBJECT: &str = "runsc";

/// Looks for runsc, loads it and asks it for its version.
pub(super) fn check(given: Option<PathBuf>, timeout: &Timeout) -> (Option<PathBuf>, Finding) {
    let (path, origin) = match shim::locate(given) {
        Ok(found) => found,
        Err(failure) => return (None, Finding::new(Level::Missing, SUBJECT, failure.to_string())),
    };
    (timeout.progress)(&format!("{} --version", path.display()));
    let version = child::ours(&path).and_then(|mut command| child::run(command.arg("--version"), timeout));
    let problem = match version {
        Ok(outcome) if outcome.succeeded => {
            let version = outcome.stdout.lines().next().unwrap_or("it does not say its version").to_owned();
            let text = format!("{} ({origin}): static, can be loaded, {version}", path.display());
            let finding = match program::closed(&path) {
                None => Finding::ok(SUBJECT, text),
                Some(problem) => Finding::new(Level::Warning, SUBJECT, format!("{text}; {problem}")),
            };
            return (Some(path), finding);
        }
        Ok(outcome) => outcome.last_words().trim_start_matches("gofer: ").to_owned(),
        Err(error) => error.to_string(),
    };
    (None, Finding::new(Level::Missing, SUBJECT, format!("{} ({origin}) does not run: {problem}", path.display())))
}
