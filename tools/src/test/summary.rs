//! Adding up what the test runner prints.

use std::fmt;

use e2e::skip;

/// How many tests ended in which way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    /// Tests that passed.
    pub(crate) passed: u64,
    /// Tests that failed.
    pub(crate) failed: u64,
    /// Tests that did not run, with a reason.
    pub(crate) skipped: u64,
}

impl Summary {
    /// Whether the runner or a skipped test has printed this line, and not a program under test.
    pub(crate) fn knows(line: &str) -> bool {
        let starts = ["test ", "running ", skip::MARK];
        starts.iter().any(|start| line.starts_with(start))
    }

    /// Takes one line of output into account.
    pub(crate) fn line(&mut self, line: &str) {
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
