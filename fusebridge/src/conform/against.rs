//! Two backends side by side.

use std::collections::HashMap;
use std::fmt::Write as _;

use super::case::{CaseResult, Outcome};
use super::report::{Key, Report};

/// A test that ended in another way on another backend.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// The test, in the mode of the first backend.
    pub key: Key,
    /// How it ended on the first backend.
    pub first: Outcome,
    /// How it ended on the second one.
    pub second: Outcome,
}

/// Tests that ended in different ways. A mode that the second backend was not tested in is compared with its first one.
pub fn differences(first: &Report, second: &Report) -> Vec<Difference> {
    let other: HashMap<Key, &CaseResult> = second.cases().collect();
    let modes: Vec<_> = second.modes.iter().map(|run| &run.mode).collect();
    let mut differences = Vec::new();
    for (key, case) in first.cases() {
        let mode = if modes.contains(&&key.mode) { Some(&key.mode) } else { modes.first().copied() };
        let counterpart = mode.and_then(|mode| other.get(&Key { mode: mode.clone(), ..key.clone() }));
        if let Some(counterpart) = counterpart
            && kind(&case.outcome) != kind(&counterpart.outcome)
        {
            differences.push(Difference { key, first: case.outcome.clone(), second: counterpart.outcome.clone() });
        }
    }
    differences
}

/// Whether the first backend fails where the second one does not.
pub fn is_worse(differences: &[Difference]) -> bool {
    differences.iter().any(|difference| matches!(difference.first, Outcome::Failed(_)))
}

/// The differences, for people.
pub fn text(first: &Report, second: &Report, differences: &[Difference]) -> String {
    if differences.is_empty() {
        return format!("{} and {} do not differ\n", first.backend, second.backend);
    }
    let width = first.backend.len().max(second.backend.len());
    let mut text = format!("{} tests end differently\n", differences.len());
    for Difference { key, first: one, second: two } in differences {
        let _ = writeln!(text, "\n{key}");
        for (backend, outcome) in [(&first.backend, one), (&second.backend, two)] {
            let _ = writeln!(text, "  {backend:<width$}  {}", told(outcome));
        }
    }
    text
}

fn kind(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Passed => "passed",
        Outcome::Failed(_) => "failed",
        Outcome::Skipped { .. } => "skipped",
    }
}

fn told(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Passed => "passed".to_owned(),
        Outcome::Failed(failure) => format!("failed: {failure}"),
        Outcome::Skipped { reason } => format!("skipped: {reason}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conform::report::Mode;
    use crate::conform::testing::{case, failed, skipped, with};

    #[test]
    fn only_differences_are_told() {
        let first =
            with(vec![case("a", failed()), case("b", Outcome::Passed), case("c", failed()), case("x", failed())]);
        let mut second = with(vec![case("a", failed()), case("b", skipped()), case("c", Outcome::Passed)]);
        second.backend = "native:/tmp".to_owned();
        second.modes[0].mode = Mode { io: "native".to_owned(), access: "native".to_owned() };
        let found = differences(&first, &second);
        let names: Vec<&str> = found.iter().map(|difference| difference.key.case.as_str()).collect();
        assert_eq!(names, ["b", "c"]);
        assert!(is_worse(&found) && !is_worse(&found[..1]));
        let text = text(&first, &second, &found);
        assert!(text.contains("  mem:         failed: stat(a).st_nlink: expected 2, came 1\n"), "{text}");
        assert!(text.contains("  native:/tmp  passed\n"), "{text}");
    }
}
