//! Chance that can be repeated.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Probability(f64);

impl Probability {
    /// Every time.
    pub(super) const ALWAYS: Self = Probability(1.0);

    /// Takes `text` as a number.
    pub(super) fn parse(text: &str) -> Option<Self> {
        text.parse().ok().filter(|number| (0.0..=1.0).contains(number)).map(Probability)
    }
}

/// Something that happens at times: whether the nth time is one of them depends on the seed alone.
#[derive(Debug)]
pub(super) struct Chance {
    probability: f64,
    seed: u64,
    times: AtomicU64,
}

impl Chance {
    /// Something with this probability. With one `seed`, things with different `stream`s do not depend on each other.
    pub(super) fn new(probability: Probability, seed: u64, stream: u64) -> Self {
        Chance { probability: probability.0, seed: mix(seed ^ mix(stream)), times: AtomicU64::new(0) }
    }

    /// Whether it happens this time.
    pub(super) fn hits(&self) -> bool {
        self.draw().is_some()
    }

    /// A random number if it happens this time.
    pub(super) fn draw(&self) -> Option<u64> {
        let time = self.times.fetch_add(1, Ordering::Relaxed);
        let random = mix(self.seed.wrapping_add(time.wrapping_mul(GOLDEN)));
        // As many bits as a double holds.
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
        let dice = (random >> 11) as f64 / (1_u64 << 53) as f64;
        (dice < self.probability).then(|| mix(random))
    }
}

/// The odd number next to 2^64 divided by the golden ratio.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// The finalizer of SplitMix64: a bijection after which the bits look random.
fn mix(number: u64) -> u64 {
    let number = number.wrapping_add(GOLDEN);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hits(probability: &str, seed: u64, stream: u64) -> Vec<bool> {
        let chance = Chance::new(Probability::parse(probability).unwrap(), seed, stream);
        (0..1000).map(|_| chance.hits()).collect()
    }

    #[test]
    fn a_seed_decides() {
        assert_eq!(hits("0.3", 1, 0), hits("0.3", 1, 0));
        assert_ne!(hits("0.3", 1, 0), hits("0.3", 2, 0));
        assert_ne!(hits("0.3", 1, 0), hits("0.3", 1, 1));
    }

    #[test]
    fn a_probability_is_kept() {
        let count = |probability| hits(probability, 7, 7).into_iter().filter(|hit| *hit).count();
        assert_eq!((count("0"), count("1")), (0, 1000));
        assert!((250..350).contains(&count("0.3")));
    }

    #[test]
    fn probabilities_are_numbers_from_0_to_1() {
        for bad in ["", "-0.1", "1.1", "NaN", "inf", "1%", "0,5"] {
            assert_eq!(Probability::parse(bad), None, "{bad}");
        }
    }
}
