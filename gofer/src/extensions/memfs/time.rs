//! Time stamps.

use rustix::time::{ClockId, clock_gettime};

use lisafs::backend::{Error, Result, StatxTimestamp};
use lisafs::wire::Timespec;

/// A point in time. Packed, as every file has four.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(Rust, packed(4))]
pub(super) struct Time {
    sec: i64,
    nsec: u32,
}

const NANOSECONDS: u32 = 1_000_000_000;

impl Time {
    /// The time by the clock on the wall.
    pub(super) fn now() -> Self {
        let now = clock_gettime(ClockId::Realtime);
        Time { sec: now.tv_sec, nsec: u32::try_from(now.tv_nsec).unwrap_or_default() }
    }

    /// The time that a client asks to set; nothing if it asks to leave the time as it is.
    pub(super) fn requested(wanted: Timespec, now: Time) -> Result<Option<Self>> {
        match wanted.nsec {
            Timespec::UTIME_NOW => Ok(Some(now)),
            Timespec::UTIME_OMIT => Ok(None),
            nsec => match u32::try_from(nsec) {
                Ok(nsec) if nsec < NANOSECONDS => Ok(Some(Time { sec: wanted.sec, nsec })),
                _ => Err(Error::INVAL),
            },
        }
    }

    /// Whether this is a day or more before `now`.
    pub(super) fn is_a_day_before(self, now: Time) -> bool {
        now.sec.saturating_sub(self.sec) >= 24 * 60 * 60
    }
}

impl From<Time> for StatxTimestamp {
    fn from(time: Time) -> Self {
        StatxTimestamp::new(time.sec, time.nsec)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_small() {
        assert_eq!(size_of::<Time>(), 12);
    }

    #[test]
    fn requests_name_a_time_or_a_rule() {
        let now = Time { sec: 5, nsec: 6 };
        let ask = |sec, nsec| Time::requested(Timespec { sec, nsec }, now);
        assert_eq!(ask(-1, 999_999_999), Ok(Some(Time { sec: -1, nsec: 999_999_999 })));
        assert_eq!(ask(-1, Timespec::UTIME_NOW), Ok(Some(now)));
        assert_eq!(ask(-1, Timespec::UTIME_OMIT), Ok(None));
        assert_eq!(ask(0, 1_000_000_000), Err(Error::INVAL));
        assert_eq!(ask(0, -1), Err(Error::INVAL));
    }

    #[test]
    fn a_day_passes() {
        let now = Time { sec: 1_000_000, nsec: 0 };
        assert!(Time { sec: 1_000_000 - 86_400, nsec: 9 }.is_a_day_before(now));
        assert!(!Time { sec: 1_000_001 - 86_400, nsec: 0 }.is_a_day_before(now));
        assert!(!Time { sec: i64::MAX, nsec: 0 }.is_a_day_before(now));
        assert!(Time { sec: i64::MIN, nsec: 0 }.is_a_day_before(now));
    }
}
