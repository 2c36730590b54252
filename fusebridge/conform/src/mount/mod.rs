//! The suite of our own: what the public suites do not test.
//!
//! A test is a function that works in an empty directory of its own. It runs in a process apart ([`worker`]), so that
//! one that hangs, dies of a signal or changes what belongs to its process does no harm, and several can run at once
//! ([`pool`]).

mod cases;
mod check;
mod directory;
mod pool;
mod scene;
pub mod worker;

pub(super) use pool::run;

use check::Verdict;
use scene::Scene;

/// A test.
pub(super) struct Case {
    /// Its name: subject and what about it.
    pub(super) name: &'static str,
    /// What has to hold.
    pub(super) about: &'static str,
    run: fn(&Scene) -> Verdict,
    /// Whether it is for file systems that refuse to be changed, and has no directory of its own but works in the root.
    read_only: bool,
}

/// All tests, in the order of their subjects.
pub(super) fn all() -> impl Iterator<Item = &'static Case> {
    cases::ALL.iter().flat_map(|cases| cases.iter())
}

/// The tests of the suite *mount*, by name and with what has to hold.
pub fn catalogue() -> impl Iterator<Item = (&'static str, &'static str)> {
    all().map(|case| (case.name, case.about))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    #[test]
    fn names_tell_tests_apart() {
        let mut seen = HashSet::new();
        for case in super::all() {
            assert!(seen.insert(case.name), "{} is there twice", case.name);
            assert!(case.name.contains("::") && !case.about.is_empty(), "{}", case.name);
        }
    }
}
