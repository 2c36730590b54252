//! When waiting for a peer ends.

use std::time::{Duration, Instant};

use rustix::time::Timespec;

use super::Ended;

/// A point in time, or never.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline(Option<Instant>);

impl Deadline {
    /// In `limit` from now.
    pub(super) fn after(limit: Option<Duration>) -> Self {
        Deadline(limit.map(|limit| Instant::now() + limit))
    }

    /// Whether there is one at all.
    pub(super) fn is_set(self) -> bool {
        self.0.is_some()
    }

    /// How long a system call may wait; without end if there is no deadline.
    pub(super) fn remaining(self) -> Result<Option<Timespec>, Ended> {
        let Some(deadline) = self.0 else { return Ok(None) };
        let remaining = deadline.saturating_duration_since(Instant::now());
        if remaining.is_zero() {
            return Err(Ended::TimedOut);
        }
        // Longer than the system's own limit is for ever.
        Ok(Timespec::try_from(remaining).ok())
    }
}
