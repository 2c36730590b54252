//! Counting one kind of call.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Times are counted by their number of bits in nanoseconds; the last bucket has all of more than a day.
const BUCKETS: usize = 48;

/// Counts calls of one kind.
#[derive(Debug)]
pub struct Counter {
    errors: AtomicU64,
    bytes: AtomicU64,
    nanos: AtomicU64,
    max: AtomicU64,
    /// How many calls took a time of so many bits. Together these are all calls.
    times: [AtomicU64; BUCKETS],
}

/// What was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// How many calls there were.
    pub calls: u64,
    /// How many of them have failed.
    pub errors: u64,
    /// Bytes that they have moved.
    pub bytes: u64,
    /// Nanoseconds of all calls together.
    pub nanos: u64,
    /// Nanoseconds of the longest.
    pub max: u64,
    times: [u64; BUCKETS],
}

impl Default for Counter {
    fn default() -> Self {
        let zero = AtomicU64::default;
        Counter { errors: zero(), bytes: zero(), nanos: zero(), max: zero(), times: std::array::from_fn(|_| zero()) }
    }
}

impl Counter {
    /// Counts a call that took `time` and has moved a number of bytes or has failed.
    pub fn add(&self, time: Duration, bytes: Option<u64>) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.times[bucket(nanos)].fetch_add(1, Ordering::Relaxed);
        self.nanos.fetch_add(nanos, Ordering::Relaxed);
        self.max.fetch_max(nanos, Ordering::Relaxed);
        match bytes {
            None => self.errors.fetch_add(1, Ordering::Relaxed),
            Some(0) => 0,
            Some(bytes) => self.bytes.fetch_add(bytes, Ordering::Relaxed),
        };
    }

    /// What was counted so far. Calls that are counted meanwhile may be in some of the numbers only.
    pub fn snapshot(&self) -> Snapshot {
        let get = |number: &AtomicU64| number.load(Ordering::Relaxed);
        let times = std::array::from_fn(|index| get(&self.times[index]));
        Snapshot {
            calls: times.iter().sum(),
            errors: get(&self.errors),
            bytes: get(&self.bytes),
            nanos: get(&self.nanos),
            max: get(&self.max),
            times,
        }
    }
}

impl Snapshot {
    /// How many calls took less than so many nanoseconds, for ascending powers of two from 2¹⁰, about a microsecond, to
    /// 2³⁴, about 17 seconds.
    pub fn cumulated(&self) -> impl Iterator<Item = (u64, u64)> {
        let mut sum = 0;
        self.times[..=34].iter().enumerate().filter_map(move |(bits, count)| {
            sum += count;
            (bits >= 10).then_some((1 << bits, sum))
        })
    }

    /// The mean time in nanoseconds.
    pub fn mean(&self) -> u64 {
        self.nanos.checked_div(self.calls).unwrap_or(0)
    }

    /// The time in nanoseconds that `percent` of the calls did not exceed. Within a factor of two: times in one bucket
    /// are taken to be spread evenly.
    pub fn percentile(&self, percent: u64) -> u64 {
        let rank = (self.calls * percent).div_ceil(100).max(1);
        let mut below = 0;
        for (bits, count) in self.times.iter().copied().enumerate() {
            if below + count >= rank {
                let (least, width) = if bits == 0 { (0, 0) } else { (1 << (bits - 1), 1 << (bits - 1)) };
                let part = u128::from(width) * u128::from(rank - below) / u128::from(count);
                return (least + u64::try_from(part).unwrap_or(width)).min(self.max);
            }
            below += count;
        }
        self.max
    }
}

/// Where times of `nanos` are counted.
fn bucket(nanos: u64) -> usize {
    let bits = u64::BITS - nanos.leading_zeros();
    usize::try_from(bits).map_or(BUCKETS - 1, |bits| bits.min(BUCKETS - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_counted() {
        let counter = Counter::default();
        for (nanos, bytes) in [(100, Some(7)), (300, None), (0, Some(0)), (u64::MAX, Some(1))] {
            counter.add(Duration::from_nanos(nanos), bytes);
            if nanos == 0 {
                let counted = counter.snapshot();
                assert_eq!((counted.calls, counted.errors, counted.bytes), (3, 1, 7));
                assert_eq!((counted.nanos, counted.mean(), counted.max), (400, 133, 300));
            }
        }
        assert_eq!(counter.snapshot().max, u64::MAX);
        assert_eq!(Counter::default().snapshot().mean(), 0);
    }

    #[test]
    fn percentiles_are_within_a_factor_of_two() {
        let counter = Counter::default();
        for nanos in 1..=1000 {
            counter.add(Duration::from_nanos(nanos), Some(0));
        }
        let counted = counter.snapshot();
        for (percent, exact) in [(1, 10), (50, 500), (99, 990), (100, 1000)] {
            let about = counted.percentile(percent);
            assert!((exact / 2..=exact * 2).contains(&about), "{percent} %: {about}");
            assert!(about <= 1000);
        }
        // Never more than the longest.
        let counter = Counter::default();
        counter.add(Duration::from_nanos(513), Some(0));
        assert_eq!(counter.snapshot().percentile(50), 513);
    }
}
