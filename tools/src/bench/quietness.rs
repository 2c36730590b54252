//! How quiet the machine is.

use std::fmt;
use std::num::NonZero;
use std::thread::{available_parallelism, scope};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use super::table::median;

/// How much of the processors a program gets that wants all of them.
#[derive(Debug, Default)]
pub(crate) struct Quietness(Vec<f64>);

/// How long is looked.
const TIME: Duration = Duration::from_millis(50);

impl Quietness {
    /// Looks once, with a busy thread for each processor.
    pub(crate) fn look(&mut self) {
        let threads = available_parallelism().map_or(1, NonZero::get);
        let shares: Vec<f64> = scope(|scope| {
            let busy: Vec<_> = (0..threads).map(|_| scope.spawn(share)).collect();
            busy.into_iter().filter_map(|thread| thread.join().ok()).collect()
        });
        self.0.push(shares.iter().sum::<f64>() / threads as f64);
    }
}

/// The part of the time for which a busy thread runs.
fn share() -> f64 {
    let (start, before) = (Instant::now(), processor_time());
    while start.elapsed() < TIME {
        std::hint::spin_loop();
    }
    (processor_time() - before).as_secs_f64() / start.elapsed().as_secs_f64()
}

/// What this thread has had.
fn processor_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

impl fmt::Display for Quietness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let least = self.0.iter().copied().fold(f64::NAN, f64::min);
        let middle = median(self.0.clone());
        let times = self.0.len();
        write!(
            f,
            "Before each turn, busy threads got {:.0} % of the processors (median of {times}; at worst {:.0} %): 100 % is a quiet machine.",
            middle * 100.0,
            least * 100.0
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_one() {
        let mut quietness = Quietness::default();
        quietness.look();
        assert!(quietness.0.iter().all(|share| *share > 0.0 && *share < 1.1), "{:?}", quietness.0);
    }
}
