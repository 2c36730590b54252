//! Processor time.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::time::{ClockId, clock_gettime};

use super::subject::Reached;

/// What this process and those that answer it have used so far.
pub(crate) fn used(reached: &Reached) -> Result<Duration> {
    let own = Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).context("the clock")?;
    reached.processes().into_iter().map(of_process).sum::<Result<Duration>>().map(|theirs| own + theirs)
}

/// What the threads of a process have used, and of those that it has started.
fn of_process(pid: u32) -> Result<Duration> {
    let mut sum = Duration::ZERO;
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        let thread = thread?.path();
        let Ok(text) = fs::read_to_string(thread.join("schedstat")) else { continue };
        let nanoseconds = text.split(' ').next().and_then(|word| word.parse().ok()).context("schedstat")?;
        sum += Duration::from_nanos(nanoseconds);
        let children = fs::read_to_string(thread.join("children")).unwrap_or_default();
        for child in children.split_whitespace() {
            sum += of_process(child.parse()?)?;
        }
    }
    Ok(sum)
}
