//! Looking for a while before sleeping.
//!
//! Waking a sleeping thread on another processor takes several times as long as a small request. So who waits for the
//! peer first looks again and again, for as long as that lately paid: where it never does, as on a single processor or
//! a busy machine, it soon stops, and tries again only now and then.
//!
//! Whether it pays is what the one who waits can see. What it costs others it cannot: a processor that a sandbox, between
//! two requests, wants for its other threads. So the server of one looks for no longer than being woken would cost it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Longest time to look, in microseconds. Long enough to notice that the other end would be quick if it were not
/// asleep: two ends that both sleep take up to a hundred.
pub(super) const LONGEST: u32 = 200;

/// The same for who serves a sandbox. On two processors, [`LONGEST`] takes three times the processor time, and makes
/// unpacking an archive in the sandbox take 1.7 times as long.
pub(super) const FOR_SANDBOXES: u32 = 20;

/// Less than that cannot pay.
const SHORTEST: u32 = 8;

/// Of so many waits, one looks although it did not pay lately; and of ever more, up to the second number, if that does
/// not pay either.
const PROBE: (u32, u32) = (32, 512);

/// How long one end of a channel looks before it sleeps.
#[derive(Debug)]
pub(super) struct Spin {
    /// At most, in microseconds.
    longest: u32,
    /// Now, in microseconds.
    budget: AtomicU32,
    /// Waits since looking was last tried.
    skipped: AtomicU32,
    /// Waits from one try to the next.
    interval: AtomicU32,
}

impl Spin {
    /// Begins as if it always paid to look for `longest` microseconds.
    pub(super) fn new(longest: u32) -> Self {
        Spin { longest, budget: longest.into(), skipped: AtomicU32::new(0), interval: PROBE.0.into() }
    }

    /// Looks until `is_there` or the time is over; returns whether it is there.
    pub(super) fn until(&self, is_there: impl Fn() -> bool) -> bool {
        if is_there() {
            return true;
        }
        let budget = self.next_budget();
        if budget == 0 {
            return false;
        }
        let (start, limit) = (Instant::now(), Duration::from_micros(budget.into()));
        let found = loop {
            // Asking for the time takes longer than looking.
            for _ in 0..16 {
                std::hint::spin_loop();
            }
            if is_there() {
                break true;
            }
            if start.elapsed() >= limit {
                break false;
            }
        };
        self.learn(budget, found);
        found
    }

    /// How long to look now, in microseconds.
    fn next_budget(&self) -> u32 {
        let budget = self.budget.load(Ordering::Relaxed);
        if budget >= SHORTEST {
            return budget;
        }
        // Only one thread waits at a time: nothing is lost between reading and writing.
        let skipped = self.skipped.load(Ordering::Relaxed) + 1;
        let is_due = skipped >= self.interval.load(Ordering::Relaxed);
        self.skipped.store(if is_due { 0 } else { skipped }, Ordering::Relaxed);
        if is_due { self.longest } else { 0 }
    }

    /// Looks longer after it has paid, and shorter or more rarely after it has not.
    fn learn(&self, budget: u32, paid: bool) {
        let lately = self.budget.load(Ordering::Relaxed);
        let interval = self.interval.load(Ordering::Relaxed);
        if paid {
            self.budget.store((budget * 2).min(self.longest), Ordering::Relaxed);
            self.interval.store(PROBE.0, Ordering::Relaxed);
        } else if lately >= SHORTEST {
            self.budget.store(lately / 2, Ordering::Relaxed);
        } else {
            self.interval.store((interval * 2).min(PROBE.1), Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_never_pays_is_given_up_and_tried_again() {
        let spin = Spin::new(LONGEST);
        assert!(spin.next_budget() > 0, "at first it is worth trying");
        (0..20).for_each(|_| assert!(!spin.until(|| false)));
        let probes = |waits: u32| (0..waits).filter(|_| spin.next_budget() > 0).count();
        assert_eq!(probes(PROBE.0 * 3), 3, "now and then");
        (0..20).for_each(|_| spin.learn(LONGEST, false));
        assert_eq!(probes(PROBE.1 * 3), 3, "ever more rarely");
        spin.learn(LONGEST, true);
        assert_eq!(spin.next_budget(), LONGEST, "until it pays");
    }

    #[test]
    fn what_pays_is_done_for_longer() {
        let spin = Spin::new(LONGEST);
        spin.budget.store(SHORTEST, Ordering::Relaxed);
        spin.learn(SHORTEST, true);
        assert_eq!(spin.next_budget(), 2 * SHORTEST);
        (0..10).for_each(|_| spin.learn(spin.next_budget(), true));
        assert_eq!(spin.next_budget(), LONGEST);
    }

    #[test]
    fn nobody_looks_for_longer_than_it_may() {
        let spin = Spin::new(FOR_SANDBOXES);
        for paid in [true, true, false, true, false, false, false, false, true, true, true, true] {
            let budget = spin.next_budget();
            assert!(budget <= FOR_SANDBOXES, "{budget}");
            if budget > 0 {
                spin.learn(budget, paid);
            }
        }
    }

    #[test]
    fn what_is_there_is_seen_at_once() {
        let spin = Spin::new(LONGEST);
        spin.budget.store(0, Ordering::Relaxed);
        assert!(spin.until(|| true));
    }
}
