//! On which processors the two sides run.
//!
//! Waking somebody up on one's own processor and on another one, which may be asleep, take times that differ by an
//! order of magnitude, and the kernel decides anew in each run. Figures can only be compared if the placement is the
//! same.

use std::sync::OnceLock;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// A placement of the two sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cores {
    /// As the kernel likes.
    Any,
    /// Both on the same one.
    One,
    /// Each on its own.
    Two,
}

impl Cores {
    /// Those that are possible here.
    pub(crate) fn possible() -> &'static [Cores] {
        if allowed().len() > 1 { &[Cores::Any, Cores::One, Cores::Two] } else { &[Cores::Any, Cores::One] }
    }

    /// For people.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Cores::Any => "any cores",
            Cores::One => "one core",
            Cores::Two => "two cores",
        }
    }

    /// Starts the other side where it belongs, since threads and children run where their maker does, and then puts
    /// this thread where it belongs itself.
    pub(crate) fn start<T>(self, start: impl FnOnce() -> T) -> T {
        let all = allowed();
        let (here, there) = match self {
            Cores::Any => (all, all),
            Cores::One => (&all[..1], &all[..1]),
            Cores::Two => (&all[..1], &all[1..2]),
        };
        run_on(there);
        let started = start();
        run_on(here);
        started
    }
}

/// The processors that this process may use.
fn allowed() -> &'static [usize] {
    static ALLOWED: OnceLock<Vec<usize>> = OnceLock::new();
    ALLOWED.get_or_init(|| {
        let set = sched_getaffinity(None).expect("a set of processors");
        (0..CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu)).collect()
    })
}

/// Keeps this thread on `cpus`.
fn run_on(cpus: &[usize]) {
    let mut set = CpuSet::new();
    for cpu in cpus {
        set.set(*cpu);
    }
    sched_setaffinity(None, &set).expect("processors that may be used");
}
