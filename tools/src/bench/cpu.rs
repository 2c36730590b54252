//! Processor time.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use e2e::process;
use rustix::time::{ClockId, clock_gettime};

use super::subject::Reached;

/// What this process and those that answer it have used so far.
pub(crate) fn used(reached: &Reached) -> Result<Duration> {
    let mut sum = Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).context("the clock")?;
    for first in reached.processes() {
        for pid in process::family(first)? {
            sum += of_process(pid)?;
        }
    }
    Ok(sum)
}

/// What the threads of a process have used. Its clock ticks too seldom for what takes microseconds.
fn of_process(pid: u32) -> Result<Duration> {
    let mut sum = Duration::ZERO;
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread may end while we look.
        let Ok(text) = fs::read_to_string(thread?.path().join("schedstat")) else { continue };
        let nanoseconds = text.split(' ').next().and_then(|word| word.parse().ok()).context("schedstat")?;
        sum += Duration::from_nanos(nanoseconds);
    }
    Ok(sum)
}
