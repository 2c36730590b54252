//! The XML of JUnit, which most systems for continuous integration read.

use std::time::Duration;

use quick_junit::{NonSuccessKind, SerializeError, TestCase, TestCaseStatus, TestSuite};

use crate::case::Outcome;
use crate::expect::Expectations;
use crate::report::{Key, Report};

/// The results as JUnit XML: a test suite for each suite and mode. Failures that are expected count as skipped.
pub fn junit(report: &Report, expectations: &Expectations) -> Result<String, SerializeError> {
    let mut root = quick_junit::Report::new(format!("conform {}", report.backend));
    for run in &report.modes {
        for suite in &run.suites {
            let mut xml = TestSuite::new(format!("{} {}", suite.suite, run.mode));
            xml.set_time(duration(suite.seconds));
            for case in &suite.cases {
                let key = Key { mode: run.mode.clone(), suite: suite.suite.clone(), case: case.name.clone() };
                let mut test = TestCase::new(xml_text(&case.name), status(&case.outcome, expectations.reason(&key)));
                test.set_classname(format!("{}.{}", suite.suite, run.mode));
                test.set_time(duration(case.seconds));
                if !case.messages.is_empty() {
                    test.set_system_out(xml_text(&case.messages.join("\n")));
                }
                xml.add_test_case(test);
            }
            root.add_test_suite(xml);
        }
    }
    root.to_string()
}

fn status(outcome: &Outcome, expected: Option<&str>) -> TestCaseStatus {
    match (outcome, expected) {
        (Outcome::Passed, _) => TestCaseStatus::success(),
        (Outcome::Skipped { reason }, _) => skipped(reason),
        (Outcome::Failed(failure), Some(reason)) => skipped(&format!("fails as expected, {reason}: {failure}")),
        (Outcome::Failed(failure), None) => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status.set_message(xml_text(&failure.to_string()));
            status
        }
    }
}

fn skipped(reason: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::skipped();
    status.set_message(xml_text(reason));
    status
}

/// Without the two characters that are no text for XML and that the library leaves in.
fn xml_text(text: &str) -> String {
    text.replace(['\u{fffe}', '\u{ffff}'], "\u{fffd}")
}

fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::Failure;
    use crate::testing;

    #[test]
    fn counts_and_messages_are_there() {
        let xml = junit(&testing::report(), &Expectations::default()).unwrap();
        assert!(xml.contains("tests=\"3\" skipped=\"1\" failures=\"1\""), "{xml}");
        assert!(xml.contains("<failure message=\"stat(a).st_nlink: expected 2, actual 1\""), "{xml}");
        assert!(xml.contains("<skipped message=\"no such thing\""), "{xml}");
        // What reads it back finds the same.
        assert_eq!(quick_junit::Report::deserialize_from_str(&xml).unwrap().tests, 3);
    }

    #[test]
    fn what_is_no_text_is_left_out() {
        let failure = Outcome::Failed(Failure::new("read(\u{ffff})", "a\u{8}", "\u{fffe}"));
        let report = testing::with(vec![testing::case("a\u{fffe}", failure)]);
        let xml = junit(&report, &Expectations::default()).unwrap();
        assert!(!xml.contains(['\u{fffe}', '\u{ffff}', '\u{8}']), "{xml}");
        assert!(xml.contains("read(\u{fffd}): expected a, actual \u{fffd}"), "{xml}");
    }
}
