//! Adding up what the test runner prints.

use std::fmt;

use e2e::skip;

/// How many tests ended in which way.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    /// Tests that passed.
    pub(crate) passed: u64,
    /// Tests that failed.
    pub(crate) failed: u64,
    /// Tests that did not run, with a reason.
    pub(crate) skipped: u64,
    /// What the runner has said of those that failed, to be repeated where a reader looks first: at the end.
    pub(crate) reports: String,
    /// How many lines more are kept of the reports that are being printed.
    rest: Option<usize>,
}

/// As many lines of one program's reports are kept.
const REPORT: usize = 100;

impl Summary {
    /// Whether the runner or a skipped test has printed this line, and not a program under test.
    pub(crate) fn knows(line: &str) -> bool {
        let starts = ["test ", "running ", skip::MARK];
        starts.iter().any(|start| line.starts_with(start))
    }

    /// Takes one line of output into account.
    pub(crate) fn line(&mut self, line: &str) {
        self.report(line);
        if line.starts_with(skip::MARK) {
            // The runner will count it as passed.
            self.passed = self.passed.wrapping_sub(1);
            self.skipped += 1;
        }
        let Some(rest) = line.strip_prefix("test result: ") else { return };
        let Some((_, counts)) = rest.split_once(". ") else { return };
        for part in counts.split("; ") {
            let Some((number, what)) = part.trim().split_once(' ') else { continue };
            let Ok(number) = number.parse::<u64>() else { continue };
            match what {
                "passed" => self.passed = self.passed.wrapping_add(number),
                "failed" => self.failed += number,
                "ignored" => self.skipped += number,
                _ => {}
            }
        }
    }

    /// The reports are between two lines of the same text, of which the second one begins a list of names.
    fn report(&mut self, line: &str) {
        if line == "failures:" {
            self.rest = if self.rest.is_none() { Some(REPORT) } else { None };
        } else if let Some(rest) = self.rest.as_mut().filter(|rest| **rest > 0 && !line.is_empty()) {
            *rest -= 1;
            self.reports += line;
            self.reports.push('\n');
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

#[cfg(test)]
mod tests {
    use super::Summary;

    #[test]
    fn what_programs_under_test_print_is_told_from_what_the_runner_does() {
        for line in ["running 3 tests", "test a::b ... ok", "test result: ok. 2 passed", "SKIPPED: no runsc"] {
            assert!(Summary::knows(line), "{line}");
        }
        for line in ["", "2026-11-29T07:51:33Z  WARN lisafs: problem", "thread 'a' panicked at b.rs:1:1:"] {
            assert!(!Summary::knows(line), "{line}");
        }
    }

    #[test]
    fn reports_of_what_failed_are_kept() {
        let mut summary = Summary::default();
        let report =
            "running 2 tests\ntest a ... ok\ntest b ... FAILED\n\nfailures:\n\n---- b stdout ----\nError: EIO\n\n\n";
        let names = "failures:\n    b\n\ntest result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured\n";
        for line in [report, names, report, names].iter().flat_map(|text| text.lines()) {
            summary.line(line);
        }
        assert_eq!(summary.reports, "---- b stdout ----\nError: EIO\n".repeat(2));
        assert_eq!(summary.to_string(), "2 passed, 2 failed, 0 skipped");
    }

    #[test]
    fn lines_of_the_runner_add_up() {
        let mut summary = Summary::default();
        for line in [
            "running 3 tests",
            "SKIPPED: no runsc",
            "test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s",
            "test result: FAILED. 4 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.00s",
        ] {
            summary.line(line);
        }
        assert_eq!(summary.to_string(), "5 passed, 2 failed, 2 skipped");
    }
}
