//! Processor time.

use std::time::Duration;

use anyhow::{Context, Result};
use e2e::process;
use rustix::time::{ClockId, clock_gettime};

use super::subject::Reached;
use super::usage::{nanoseconds, threads};

/// What this process and those that answer it have used so far.
pub(crate) fn used(reached: &Reached) -> Result<Duration> {
    let mut sum = Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).context("the clock")?;
    for first in reached.processes() {
        for pid in process::family(first)? {
            // A thread may end while we look.
            let threads = threads(pid)?.into_iter().filter_map(|thread| nanoseconds(pid, thread).ok());
            sum += threads.map(Duration::from_nanos).sum();
        }
    }
    Ok(sum)
}
