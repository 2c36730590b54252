//! The table.

use std::fmt::Write as _;

use super::subject::Subject;
use crate::bench::table::median;

/// One measurement.
#[derive(Clone, Copy, Debug)]
pub(super) struct Figure {
    /// What was measured.
    pub(super) name: &'static str,
    /// In which unit.
    pub(super) unit: Unit,
    /// How much.
    pub(super) value: f64,
}

/// What figures are numbers of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// Operations in a second.
    Rate,
    /// MiB in a second.
    Flow,
    /// Milliseconds.
    Time,
    /// MiB of memory.
    Memory,
}

impl Unit {
    fn word(self) -> &'static str {
        match self {
            Self::Rate => "/s",
            Self::Flow => "MiB/s",
            Self::Time => "ms",
            Self::Memory => "MiB",
        }
    }

    /// How many times better `ours` is.
    fn ratio(self, theirs: f64, ours: f64) -> f64 {
        match self {
            Self::Rate | Self::Flow => ours / theirs,
            Self::Time | Self::Memory => theirs / ours,
        }
    }
}

/// The figures of all rounds.
#[derive(Debug, Default)]
pub(super) struct Samples {
    rounds: Vec<(Subject, Vec<Figure>)>,
}

impl Samples {
    /// Adds one round of one subject.
    pub(super) fn add(&mut self, subject: Subject, figures: Vec<Figure>) {
        self.rounds.push((subject, figures));
    }

    /// A row for each figure, in the order of the first round.
    pub(super) fn markdown(&self, rounds: usize) -> String {
        let mut text =
            format!("On tmpfs, median of {rounds}; in parentheses how many times better than gocryptfs:\n\n|  |");
        for subject in Subject::ALL {
            _ = write!(text, " {} |", subject.name());
        }
        text.push_str("\n|---|");
        text.push_str(&"---:|".repeat(Subject::ALL.len()));
        for figure in self.rounds.first().map(|(_, figures)| figures.as_slice()).unwrap_or_default() {
            let theirs = self.median(Subject::Gocryptfs, figure.name);
            _ = write!(text, "\n| {} |", figure.name);
            for subject in Subject::ALL {
                let value = self.median(subject, figure.name);
                _ = write!(text, " {value:.0} {}", figure.unit.word());
                if subject != Subject::Gocryptfs {
                    _ = write!(text, " ({:.2})", figure.unit.ratio(theirs, value));
                }
                text.push_str(" |");
            }
        }
        text.push('\n');
        text
    }

    fn median(&self, subject: Subject, name: &str) -> f64 {
        let of_subject = self.rounds.iter().filter(|(of, _)| *of == subject);
        let values = of_subject.flat_map(|(_, figures)| figures).filter(|figure| figure.name == name);
        median(values.map(|figure| figure.value).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_better_has_the_larger_ratio() {
        let mut samples = Samples::default();
        for (subject, factor) in Subject::ALL.into_iter().zip([1.0, 2.0, 4.0]) {
            let figure = |name, unit, value| Figure { name, unit, value };
            let (rate, time) =
                (figure("stat", Unit::Rate, 100.0 * factor), figure("untar", Unit::Time, 100.0 / factor));
            samples.add(subject, vec![rate, time]);
        }
        let text = samples.markdown(1);
        assert!(text.contains("| stat | 100 /s | 200 /s (2.00) | 400 /s (4.00) |"), "{text}");
        assert!(text.contains("| untar | 100 ms | 50 ms (2.00) | 25 ms (4.00) |"), "{text}");
    }
}
