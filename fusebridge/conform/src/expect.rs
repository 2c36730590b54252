//! Tests that are expected to fail, each with a reason.
//!
//! A line is `SUITE/TEST REASON`, or `SUITE/TEST@IO/ACCESS REASON` if it is about one way to mount; `*` stands for any
//! I/O or access mode there. Empty lines and lines that begin with `#` say nothing.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::report::{Key, LIFECYCLE, NATIVE, Report};
use super::suite::Suite;

/// The values of `--io`.
pub const IO: [&str; 4] = ["auto", "passthrough", "direct", "rpc"];

/// The values of `--access`.
pub const ACCESS: [&str; 2] = ["exclusive", "shared"];

/// A list of tests that are expected to fail.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expectations(Vec<Expectation>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Expectation {
    suite: String,
    case: String,
    /// Only with these words for `--io` and `--access`.
    mode: Option<(String, String)>,
    reason: String,
}

/// A list that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ExpectError {
    /// It cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// A line is wrong.
    #[error("{}:{line}: {what}; write SUITE/TEST REASON or SUITE/TEST@IO/ACCESS REASON", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1 on.
        line: usize,
        /// What is wrong.
        what: &'static str,
    },
}

impl Expectations {
    /// Reads the list in the file `path`.
    pub fn read(path: &Path) -> Result<Self, ExpectError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| ExpectError::Read { path: path.to_path_buf(), source })?;
        Self::parse(&text).map_err(|(line, what)| ExpectError::Line { path: path.to_path_buf(), line, what })
    }

    /// Understands a list, or says which line is wrong and why.
    fn parse(text: &str) -> Result<Self, (usize, &'static str)> {
        let mut list = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let wrong = |what| (index + 1, what);
            let (test, reason) = line.split_once(char::is_whitespace).ok_or(wrong("the reason is missing"))?;
            let (test, mode) = match test.split_once('@') {
                Some((test, mode)) => {
                    let (io, access) = mode.split_once('/').ok_or(wrong("no IO/ACCESS after the @"))?;
                    if !is_mode(io, &IO) || !is_mode(access, &ACCESS) {
                        return Err(wrong("no values of --io and --access after the @"));
                    }
                    (test, Some((io.to_owned(), access.to_owned())))
                }
                None => (test, None),
            };
            let (suite, case) = test.split_once('/').ok_or(wrong("no suite before the test"))?;
            if suite != LIFECYCLE && !Suite::NAMES.contains(&suite) {
                return Err(wrong("no such suite"));
            }
            let reason = reason.trim().to_owned();
            list.push(Expectation { suite: suite.to_owned(), case: case.to_owned(), mode, reason });
        }
        Ok(Expectations(list))
    }

    /// Lines about tests of suites that have run, which do not have these tests: mistakes, or tests that are gone.
    pub fn unknown_tests(&self, report: &Report) -> Vec<String> {
        let suites: HashSet<&str> =
            report.modes.iter().flat_map(|run| &run.suites).map(|suite| suite.suite.as_str()).collect();
        let cases: HashSet<(String, String)> = report.cases().map(|(key, _)| (key.suite, key.case)).collect();
        let is_unknown = |expected: &&Expectation| {
            suites.contains(expected.suite.as_str())
                && !cases.contains(&(expected.suite.clone(), expected.case.clone()))
        };
        self.0.iter().filter(is_unknown).map(|expected| format!("{}/{}", expected.suite, expected.case)).collect()
    }

    /// Why this test is expected to fail, if it is.
    pub fn reason(&self, key: &Key) -> Option<&str> {
        let fits = |word: &str, pattern: &str| pattern == "*" || pattern == word;
        let is_meant = |expected: &&Expectation| {
            expected.suite == key.suite
                && expected.case == key.case
                && expected
                    .mode
                    .as_ref()
                    .is_none_or(|(io, access)| fits(&key.mode.io, io) && fits(&key.mode.access, access))
        };
        self.0.iter().find(is_meant).map(|expected| expected.reason.as_str())
    }
}

/// Whether reports can have this for a way to mount, or lines for several.
fn is_mode(word: &str, values: &[&str]) -> bool {
    ["*", NATIVE].contains(&word) || values.contains(&word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Mode;
    use crate::testing;

    fn key(case: &str, io: &str, access: &str) -> Key {
        let mode = Mode { io: io.to_owned(), access: access.to_owned() };
        Key { mode, suite: "pjdfstest".to_owned(), case: case.to_owned() }
    }

    #[test]
    fn reasons_are_found() {
        let list = Expectations::parse(
            "# a remark\n\npjdfstest/chown::a   no owners here\n\
             pjdfstest/open::b@rpc/*  the server is slow\n",
        )
        .unwrap();
        assert_eq!(list.reason(&key("chown::a", "auto", "shared")), Some("no owners here"));
        assert_eq!(list.reason(&key("open::b", "rpc", "shared")), Some("the server is slow"));
        assert_eq!(list.reason(&key("open::b", "auto", "shared")), None);
        assert_eq!(list.reason(&key("chown::ab", "auto", "shared")), None);
    }

    #[test]
    fn lines_about_no_test_are_told() {
        let list = Expectations::parse("mount/links::one r\nmount/links::onne r\npjdfstest/a r\n").unwrap();
        assert_eq!(list.unknown_tests(&testing::report()), ["mount/links::onne"]);
    }

    #[test]
    fn each_line_needs_a_reason() {
        assert_eq!(Expectations::parse("fsx/b reason\nfsx/c"), Err((2, "the reason is missing")));
        assert_eq!(Expectations::parse("b reason"), Err((1, "no suite before the test")));
        assert_eq!(Expectations::parse("fsx/b@rpc reason"), Err((1, "no IO/ACCESS after the @")));
    }

    #[test]
    fn words_that_no_test_has_are_mistakes() {
        assert_eq!(Expectations::parse("mnt/b reason"), Err((1, "no such suite")));
        for mode in ["rcp/*", "rpc/shred", "shared/rpc", "/"] {
            let line = format!("fsx/b@{mode} reason");
            assert_eq!(Expectations::parse(&line), Err((1, "no values of --io and --access after the @")), "{mode}");
        }
        for line in ["lifecycle/b@direct/exclusive r", "classic/b@native/native r", "mount/a@*/* r"] {
            assert!(Expectations::parse(line).is_ok(), "{line}");
        }
    }
}
