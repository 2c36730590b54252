//! Two backends side by side.

use std::collections::HashMap;
use std::fmt::Write as _;

use super::case::{CaseResult, Outcome};
use super::report::{Key, LIFECYCLE, Report};

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
/// That a mount or its server has not lasted is a difference too if there is nothing of the kind on the other side.
pub fn differences(first: &Report, second: &Report) -> Vec<Difference> {
    let mut differences = Vec::new();
    for (key, case, counterpart) in pairs(first, second) {
        let second = match counterpart {
            Some(counterpart) => counterpart.outcome.clone(),
            None if key.suite == LIFECYCLE => Outcome::Skipped { reason: "nothing is mounted".to_owned() },
            None => continue,
        };
        let is_same = match counterpart {
            Some(_) => kind(&case.outcome) == kind(&second),
            None => case.failure().is_none(),
        };
        if !is_same {
            differences.push(Difference { key, first: case.outcome.clone(), second });
        }
    }
    differences
}

/// The tests of the first backend, each with the same one of the second.
fn pairs<'a>(
    first: &'a Report,
    second: &'a Report,
) -> impl Iterator<Item = (Key, &'a CaseResult, Option<&'a CaseResult>)> {
    let other: HashMap<Key, &CaseResult> = second.cases().collect();
    let modes: Vec<_> = second.modes.iter().map(|run| &run.mode).collect();
    first.cases().map(move |(key, case)| {
        let mode = if modes.contains(&&key.mode) { Some(&key.mode) } else { modes.first().copied() };
        let counterpart = mode.and_then(|mode| other.get(&Key { mode: mode.clone(), ..key.clone() }));
        (key, case, counterpart.copied())
    })
}

/// How many tests of `one` have no counterpart in `other`, those of the mount itself apart.
fn only_in(one: &Report, other: &Report) -> usize {
    pairs(one, other).filter(|(key, _, counterpart)| key.suite != LIFECYCLE && counterpart.is_none()).count()
}

/// Whether the first backend fails where the second one does not.
pub fn is_worse(differences: &[Difference]) -> bool {
    differences.iter().any(|difference| matches!(difference.first, Outcome::Failed(_)))
}

/// The differences, for people.
pub fn text(first: &Report, second: &Report, differences: &[Difference]) -> String {
    let width = first.backend.len().max(second.backend.len());
    let mut text = match differences.len() {
        0 => format!("{} and {} do not differ\n", first.backend, second.backend),
        count => format!("{count} tests end differently\n"),
    };
    for (one, other) in [(first, second), (second, first)] {
        let count = only_in(one, other);
        if count > 0 {
            let _ = writeln!(text, "{count} tests were run on {} only", one.backend);
        }
    }
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
    use crate::report::Mode;
    use crate::testing::{case, failed, skipped, with};

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
        assert!(text.contains("  mem:         failed: stat(a).st_nlink: expected 2, actual 1\n"), "{text}");
        assert!(text.contains("  native:/tmp  passed\n"), "{text}");
        assert!(text.contains("\n1 tests were run on mem: only\n"), "{text}");
    }

    #[test]
    fn a_server_that_has_gone_is_worse_than_none() {
        let mut first =
            with(vec![case("lifecycle::server_lives", failed()), case("lifecycle::unmounts", Outcome::Passed)]);
        first.modes[0].suites[0].suite = LIFECYCLE.to_owned();
        let mut second = with(vec![case("a", Outcome::Passed), case("b", Outcome::Passed)]);
        second.backend = "native:/tmp".to_owned();
        second.modes[0].mode = Mode { io: "native".to_owned(), access: "native".to_owned() };
        let found = differences(&first, &second);
        assert!(is_worse(&found) && found.len() == 1, "{found:?}");
        let text = text(&first, &second, &found);
        assert!(text.contains("\n2 tests were run on native:/tmp only\n"), "{text}");
        assert!(text.contains("  native:/tmp  skipped: nothing is mounted\n"), "{text}");
        // One that was not even asked for.
        first.modes[0].suites.clear();
        assert!(differences(&first, &second).is_empty());
    }
}
