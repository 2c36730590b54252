//! When memory is given back: changes are many small values, which leave holes where they were.

use std::time::{Duration, Instant};

/// After so many bytes of changes there may be something to give back.
const MANY: u64 = 16 << 20;

/// It takes time, and so is not done more often.
const PAUSE: Duration = Duration::from_secs(10);

/// What has changed since memory was given back.
#[derive(Debug)]
pub(super) struct Tidy {
    bytes: u64,
    last: Instant,
}

impl Tidy {
    /// Nothing has changed so far.
    pub(super) fn new(now: Instant) -> Self {
        Tidy { bytes: 0, last: now }
    }

    /// Notes that `bytes` of changes were committed, and says whether memory is to be given back now.
    pub(super) fn is_due(&mut self, bytes: u64, now: Instant) -> bool {
        self.bytes += bytes;
        let is_due = self.bytes >= MANY && now.duration_since(self.last) >= PAUSE;
        if is_due {
            *self = Tidy::new(now);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_given_back_after_many_changes_but_not_all_the_time() {
        let start = Instant::now();
        let mut tidy = Tidy::new(start);
        assert!(!tidy.is_due(2 * MANY, start), "too soon");
        assert!(tidy.is_due(1, start + PAUSE));
        assert!(!tidy.is_due(MANY - 1, start + 5 * PAUSE), "too little");
        assert!(tidy.is_due(1, start + 5 * PAUSE));
        assert!(!tidy.is_due(MANY, start + 5 * PAUSE), "once");
    }
}
