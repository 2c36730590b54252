//! What the results mean: beside a list of expected failures, and beside an earlier run.

use std::collections::HashMap;
use std::fmt::Write as _;

use super::case::Outcome;
use super::expect::Expectations;
use super::report::{Key, Report};

/// What has become of the tests that need attention.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judgement {
    /// They fail, and nothing says that they should. Beside a baseline: and did not fail there.
    pub failing: Vec<Key>,
    /// They fail as they did in the baseline.
    pub still_failing: Vec<Key>,
    /// They failed in the baseline and pass now.
    pub newly_passing: Vec<Key>,
    /// They fail as expected, for these reasons.
    pub expected: Vec<(Key, String)>,
    /// They pass although they are expected to fail, for these reasons.
    pub unexpected_passes: Vec<(Key, String)>,
    /// Whether there is a baseline.
    pub has_baseline: bool,
}

impl Judgement {
    /// Judges `report`.
    pub fn new(report: &Report, expectations: &Expectations, baseline: Option<&Report>) -> Self {
        let before: HashMap<Key, &Outcome> =
            baseline.into_iter().flat_map(Report::cases).map(|(key, case)| (key, &case.outcome)).collect();
        let mut judgement = Judgement { has_baseline: baseline.is_some(), ..Judgement::default() };
        for (key, case) in report.cases() {
            let reason = expectations.reason(&key).map(str::to_owned);
            let failed_before = matches!(before.get(&key), Some(Outcome::Failed(_)));
            match (&case.outcome, reason) {
                (Outcome::Failed(_), Some(reason)) => judgement.expected.push((key, reason)),
                (Outcome::Failed(_), None) if failed_before => judgement.still_failing.push(key),
                (Outcome::Failed(_), None) => judgement.failing.push(key),
                (Outcome::Passed, Some(reason)) => judgement.unexpected_passes.push((key, reason)),
                (Outcome::Passed, None) if failed_before => judgement.newly_passing.push(key),
                (Outcome::Passed | Outcome::Skipped { .. }, _) => {}
            }
        }
        judgement
    }

    /// Whether all is as it should be: nothing fails that did not fail in the baseline; without one, nothing fails that
    /// is not expected to, and nothing passes that is.
    pub fn is_well(&self) -> bool {
        self.failing.is_empty() && (self.has_baseline || self.unexpected_passes.is_empty())
    }

    /// The lists, for people.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let mut list = |title: &str, lines: Vec<String>| {
            if !lines.is_empty() {
                let _ = writeln!(text, "\n{title}: {}", lines.len());
                for line in lines {
                    let _ = writeln!(text, "  {line}");
                }
            }
        };
        let keys = |keys: &[Key]| keys.iter().map(Key::to_string).collect::<Vec<_>>();
        let with_reasons =
            |keys: &[(Key, String)]| keys.iter().map(|(key, reason)| format!("{key}: {reason}")).collect();
        if self.has_baseline {
            list("newly failing", keys(&self.failing));
            list("still failing", keys(&self.still_failing));
            list("newly passing", keys(&self.newly_passing));
        }
        list("failing as expected", with_reasons(&self.expected));
        list("passing although expected to fail (take them off the list)", with_reasons(&self.unexpected_passes));
        text
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::testing::{case, failed, skipped, with};

    fn list(text: &str) -> Expectations {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Expectations::read(Path::new(file.path())).unwrap()
    }

    fn names(keys: &[Key]) -> Vec<&str> {
        keys.iter().map(|key| key.case.as_str()).collect()
    }

    #[test]
    fn a_baseline_tells_new_from_old() {
        let before =
            with(vec![case("a", failed()), case("b", failed()), case("c", Outcome::Passed), case("e", skipped())]);
        let now = with(vec![
            case("a", failed()),
            case("b", Outcome::Passed),
            case("c", failed()),
            case("d", failed()),
            case("e", failed()),
        ]);
        let judgement = Judgement::new(&now, &Expectations::default(), Some(&before));
        assert_eq!(names(&judgement.failing), ["c", "d", "e"]);
        assert_eq!(names(&judgement.still_failing), ["a"]);
        assert_eq!(names(&judgement.newly_passing), ["b"]);
        assert!(!judgement.is_well());
        assert!(Judgement::new(&now, &Expectations::default(), Some(&now)).is_well());
        assert!(judgement.text().contains("newly failing: 3\n  mount/c (auto/shared)\n"), "{}", judgement.text());
    }

    #[test]
    fn expected_failures_are_well_and_passes_are_reported() {
        let expectations = list("mount/a  no such thing\nmount/b  nor this\nmount/z not run\n");
        let failing = Judgement::new(&with(vec![case("a", failed()), case("b", failed())]), &expectations, None);
        assert!(failing.is_well() && failing.expected.len() == 2);
        let passing = Judgement::new(&with(vec![case("a", failed()), case("b", Outcome::Passed)]), &expectations, None);
        assert!(!passing.is_well());
        assert_eq!(passing.unexpected_passes[0].1, "nor this");
        assert!(passing.text().contains("mount/b (auto/shared): nor this"), "{}", passing.text());
    }
}
