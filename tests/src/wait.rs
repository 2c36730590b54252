//! Waiting for a condition by asking again, with a limit.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Pause between two looks at the condition.
const STEP: Duration = Duration::from_millis(5);

/// Asks `condition` until it gives a value. Fails with `what` when `limit` has passed.
pub fn until_some<T>(what: &str, limit: Duration, mut condition: impl FnMut() -> Option<T>) -> Result<T> {
    let start = Instant::now();
    loop {
        if let Some(value) = condition() {
            return Ok(value);
        }
        if start.elapsed() > limit {
            bail!("waited {limit:?} in vain: {what}");
        }
        sleep(STEP);
    }
}

/// Asks `condition` until it holds. Fails with `what` when `limit` has passed.
pub fn until(what: &str, limit: Duration, mut condition: impl FnMut() -> bool) -> Result<()> {
    until_some(what, limit, || condition().then_some(()))
}
