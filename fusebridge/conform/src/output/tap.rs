//! The Test Anything Protocol, version 14.

use std::fmt::Write as _;

use super::printable;
use crate::case::Outcome;
use crate::expect::Expectations;
use crate::report::Report;

/// The results as TAP. Failures that are expected are marked `TODO`, which readers do not count.
pub fn tap(report: &Report, expectations: &Expectations) -> String {
    let mut text = format!("TAP version 14\n1..{}\n", report.cases().count());
    for (number, (key, case)) in (1..).zip(report.cases()) {
        // A # would begin a directive, a line another test.
        let name = printable(&key.to_string()).replace('\\', "\\\\").replace('#', "\\#");
        let todo = expectations.reason(&key).map(|reason| format!(" # TODO {reason}")).unwrap_or_default();
        match &case.outcome {
            Outcome::Passed => {
                let _ = writeln!(text, "ok {number} - {name}{todo}");
            }
            Outcome::Skipped { reason } => {
                let _ = writeln!(text, "ok {number} - {name} # SKIP {}", printable(&reason.replace('\n', " ")));
            }
            Outcome::Failed(failure) => {
                let _ = writeln!(text, "not ok {number} - {name}{todo}\n  ---");
                for (word, said) in
                    [("operation", &failure.operation), ("expected", &failure.expected), ("actual", &failure.actual)]
                {
                    // A JSON string is a YAML string too.
                    let _ = writeln!(text, "  {word}: {}", serde_json::Value::from(said.as_str()));
                }
                text.push_str("  ...\n");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn each_test_is_a_line() {
        let expected = "TAP version 14\n1..3\n\
                        ok 1 - mount/links::two (auto/shared)\n\
                        not ok 2 - mount/links::one (auto/shared)\n  \
                        ---\n  operation: \"stat(a).st_nlink\"\n  expected: \"2\"\n  actual: \"1\"\n  ...\n\
                        ok 3 - mount/acl::one (auto/shared) # SKIP no such thing\n";
        assert_eq!(tap(&testing::report(), &Expectations::default()), expected);
    }

    #[test]
    fn a_name_stays_in_its_line() {
        let report = testing::with(vec![testing::case("a\nok 99 - b", Outcome::Passed)]);
        assert_eq!(
            tap(&report, &Expectations::default()),
            "TAP version 14\n1..1\nok 1 - mount/a\\\\nok 99 - b (auto/shared)\n"
        );
    }
}
