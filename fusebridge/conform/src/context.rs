//! What suites are told, and whom they tell.

use std::path::Path;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use super::case::CaseResult;
use super::clock::Clock;

/// What to run, and how.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Only tests whose name has one of these in it; all if there are none.
    pub filter: Vec<String>,
    /// How many tests of the suite *mount* and runs of fsx go on at once.
    pub jobs: usize,
    /// How often each suite is run. A test passes if it passes each time.
    pub repeat: u32,
    /// Decides what is done by chance.
    pub seed: u64,
    /// How long a test may take.
    pub timeout: Duration,
    /// How many runs of fsx there are, each with a seed of its own.
    pub fsx_runs: u32,
    /// How many operations each of them has.
    pub fsx_operations: u64,
}

impl Settings {
    /// Whether the test is wanted.
    pub fn wants(&self, name: &str) -> bool {
        self.filter.is_empty() || self.filter.iter().any(|part| name.contains(part))
    }
}

/// Sees tests end as they do.
pub trait Observer: Sync {
    /// A suite begins, with so many tests if that is known.
    fn begins(&self, suite: &str, tests: Option<usize>);
    /// A test has ended.
    fn ended(&self, suite: &str, case: &CaseResult);
    /// The suite is over.
    fn over(&self, suite: &str);
}

/// Ends suites early.
#[derive(Debug, Default)]
pub struct Stop(AtomicU8);

/// Why suites end early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Somebody wants it.
    Interrupted,
    /// The server has gone: nothing could pass any more.
    ServerGone,
    /// Somebody has unmounted it: what is tested is no longer there.
    Unmounted,
}

impl Cause {
    /// What a test that was under way has failed of, unless it is nobody's fault.
    pub(super) fn failure(self) -> Option<&'static str> {
        match self {
            Cause::Interrupted => None,
            Cause::ServerGone => Some("the server is gone"),
            Cause::Unmounted => Some("the file system was unmounted"),
        }
    }
}

impl Stop {
    /// Has all suites end; the first cause counts.
    pub fn stop(&self, cause: Cause) {
        let value = match cause {
            Cause::Interrupted => 1,
            Cause::ServerGone => 2,
            Cause::Unmounted => 3,
        };
        // It stays at the first one if there is one.
        let _ = self.0.compare_exchange(0, value, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Whether suites are to end, and why.
    pub fn cause(&self) -> Option<Cause> {
        match self.0.load(Ordering::Relaxed) {
            0 => None,
            1 => Some(Cause::Interrupted),
            2 => Some(Cause::ServerGone),
            _ => Some(Cause::Unmounted),
        }
    }

    /// Of what the test that is under way has failed, if what is tested has gone.
    pub(super) fn failure(&self) -> Option<&'static str> {
        self.cause().and_then(Cause::failure)
    }

    /// The same for a test that has failed in its own way: the last requests are refused a moment before the end of
    /// what should answer them is heard of.
    pub(super) fn failure_soon(&self) -> Option<&'static str> {
        const MOMENT: Duration = Duration::from_millis(100);
        let deadline = Instant::now() + MOMENT;
        while self.cause().is_none() && Instant::now() < deadline {
            std::thread::sleep(MOMENT / 20);
        }
        self.failure()
    }
}

/// Everything that a suite needs while it runs.
#[derive(Clone, Copy)]
pub(super) struct Context<'a> {
    /// An empty directory of the suite's own on the file system under test, or the root if that is read-only.
    pub(super) directory: &'a Path,
    /// Whether the file system refuses to be changed.
    pub(super) read_only: bool,
    /// One elsewhere.
    pub(super) aside: &'a Path,
    /// What to run.
    pub(super) settings: &'a Settings,
    /// Whom to tell.
    pub(super) observer: &'a dyn Observer,
    /// When to end early.
    pub(super) stop: &'a Stop,
    /// What time it is.
    pub(super) clock: &'a Clock,
}
