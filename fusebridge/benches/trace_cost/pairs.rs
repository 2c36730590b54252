//! Measuring two things in turn.

use std::time::{Duration, Instant};

/// How often to measure.
pub(crate) struct Pairs {
    pub(crate) rounds: usize,
    /// Part of the names of what is to be measured.
    pub(crate) wanted: String,
}

/// A round of each takes about so long.
const ROUND: Duration = Duration::from_millis(20);

impl Pairs {
    /// Measures both and prints a line.
    pub(crate) fn compare(&self, name: &str, off: &mut dyn FnMut(), on: &mut dyn FnMut()) {
        if !name.contains(&self.wanted) {
            return;
        }
        let count = calibrate(off);
        let (mut times, mut ratios) = ([Vec::new(), Vec::new()], Vec::new());
        for round in 0..self.rounds {
            // Whoever comes second finds the machine as the first has left it.
            let (first, second) = if round % 2 == 0 { (0, 1) } else { (1, 0) };
            let mut taken = [0.0; 2];
            for which in [first, second] {
                taken[which] = each(if which == 0 { off } else { on }, count);
                times[which].push(taken[which]);
            }
            ratios.push(taken[1] / taken[0]);
        }
        let [off, on] = times.map(median);
        println!("{name:32} {off:>9.2} µs {on:>9.2} µs {:>8.3}", median(ratios));
    }
}

/// How many calls make a round.
fn calibrate(call: &mut dyn FnMut()) -> u32 {
    let mut count = 16;
    loop {
        let start = Instant::now();
        (0..count).for_each(|_| call());
        if start.elapsed() >= ROUND || count >= 1 << 24 {
            return count;
        }
        count *= 2;
    }
}

/// Microseconds of one call.
fn each(call: &mut dyn FnMut(), count: u32) -> f64 {
    let start = Instant::now();
    (0..count).for_each(|_| call());
    start.elapsed().as_secs_f64() * 1e6 / f64::from(count)
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_unstable_by(f64::total_cmp);
    figures[figures.len() / 2]
}
