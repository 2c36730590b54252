//! Lines of the Test Anything Protocol, as that suite prints them.

use crate::case::{Failure, Outcome};

/// A line that says something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// How many tests there are going to be.
    Plan {
        /// So many.
        tests: u32,
        /// Why none, if it is for a reason.
        skipped: Option<String>,
    },
    /// A test has ended.
    Test {
        /// In this way. Tests that are known not to work yet (`# TODO`) are skipped.
        outcome: Outcome,
    },
}

/// Understands a line.
pub(super) fn parse(line: &str) -> Option<Line> {
    let line = line.trim();
    if let Some(plan) = line.strip_prefix("1..") {
        let (tests, remark) = plan.split_once('#').unwrap_or((plan, ""));
        let skipped = directive(remark, "skip").filter(|_| !remark.is_empty());
        return Some(Line::Plan { tests: tests.trim().parse().ok()?, skipped });
    }
    let (is_ok, rest) = match line.strip_prefix("not ok") {
        Some(rest) => (false, rest),
        None => (true, line.strip_prefix("ok")?),
    };
    if !rest.is_empty() && !rest.starts_with(char::is_whitespace) {
        return None;
    }
    let (text, remark) = rest.split_once('#').unwrap_or((rest, ""));
    let excuse = directive(remark, "skip").or_else(|| directive(remark, "todo"));
    let outcome = match excuse {
        Some(reason) => Outcome::Skipped { reason },
        None if is_ok => Outcome::Passed,
        None => Outcome::Failed(failure(text)),
    };
    Some(Line::Test { outcome })
}

/// What stands behind `# SKIP` or `# TODO`.
fn directive(remark: &str, word: &str) -> Option<String> {
    let remark = remark.trim();
    let (head, rest) = remark.split_at_checked(word.len())?;
    head.eq_ignore_ascii_case(word).then(|| rest.trim_start_matches(|c: char| c.is_alphabetic()).trim().to_owned())
}

/// `7 - tried 'open x', expected EPERM, got 0`
fn failure(text: &str) -> Failure {
    let text = text.trim().trim_start_matches(|character: char| character.is_ascii_digit() || character == ' ');
    let text = text.trim_start_matches(['-', ' ']);
    let parts = text.strip_prefix("tried '").and_then(|rest| {
        let (operation, rest) = rest.split_once("', expected ")?;
        let (expected, actual) = rest.split_once(", got ")?;
        Some(Failure::new(operation, expected, actual))
    });
    parts.unwrap_or_else(|| Failure::new(if text.is_empty() { "the test" } else { text }, "ok", "not ok"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_understood() {
        assert_eq!(parse("1..7"), Some(Line::Plan { tests: 7, skipped: None }));
        let skipped = Some(Line::Plan { tests: 0, skipped: Some("no chflags here".to_owned()) });
        assert_eq!(parse("1..0 # skip no chflags here"), skipped);
        let test = |outcome| Some(Line::Test { outcome });
        assert_eq!(parse("ok 3"), test(Outcome::Passed));
        assert_eq!(parse("ok 3 # TODO later"), test(Outcome::Skipped { reason: "later".to_owned() }));
        assert_eq!(parse("not ok 4 # TODO later"), test(Outcome::Skipped { reason: "later".to_owned() }));
        assert_eq!(
            parse("not ok 12 - tried 'open a O_RDONLY', expected ENOENT, got 0"),
            test(Outcome::Failed(Failure::new("open a O_RDONLY", "ENOENT", "0")))
        );
        assert_eq!(parse("not ok 5"), test(Outcome::Failed(Failure::new("the test", "ok", "not ok"))));
        for other in ["okay", "# a remark", "", "1..x"] {
            assert_eq!(parse(other), None, "{other}");
        }
    }
}
