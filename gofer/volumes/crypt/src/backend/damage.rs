//! What is told of damage: a client gets `EIO`, the log a line that says where, but not more lines than somebody can
//! read.

use std::time::{Duration, Instant};

use lisafs::backend::{Errno, Error};
use parking_lot::Mutex;

/// Lines in a row, and how long it takes until there may be as many again.
const LINES: u32 = 20;
const PERIOD: Duration = Duration::from_secs(10);

/// Counts lines.
#[derive(Debug, Default)]
pub(super) struct Damage(Mutex<Option<Period>>);

#[derive(Debug)]
struct Period {
    began: Instant,
    lines: u32,
}

impl Damage {
    /// An error whose cause the server logs, unless it has been busy with that.
    pub(super) fn error(&self, cause: impl FnOnce() -> String) -> Error {
        if self.may_tell() { Errno::IO.because(cause()) } else { Error::IO }
    }

    /// Logs damage that is no client's error.
    pub(super) fn log(&self, what: impl FnOnce() -> String) {
        if self.may_tell() {
            tracing::warn!("{}", what());
        }
    }

    fn may_tell(&self) -> bool {
        let now = Instant::now();
        let mut period = self.0.lock();
        let period = match &mut *period {
            Some(period) if now.duration_since(period.began) < PERIOD => period,
            period => period.insert(Period { began: now, lines: 0 }),
        };
        period.lines = period.lines.saturating_add(1);
        if period.lines == LINES {
            tracing::warn!("no more damage is reported for {} seconds", PERIOD.as_secs());
        }
        period.lines < LINES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_an_end_to_lines() {
        let damage = Damage::default();
        let told = (0..100).filter(|_| damage.error(|| "broken".to_owned()).cause().is_some()).count();
        assert_eq!(told, LINES as usize - 1);
        assert_eq!(damage.error(|| "broken".to_owned()), Error::IO);
    }
}
