//! The table of one runsc.

use std::fmt::Write as _;

use e2e::sandbox::Gofer;

use crate::bench::table::median;

/// One measurement.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figure {
    /// What was measured.
    pub(crate) name: &'static str,
    /// In which unit. Less is better.
    pub(crate) unit: &'static str,
    /// How much.
    pub(crate) value: f64,
}

/// The figures of all rounds.
#[derive(Debug, Default)]
pub(crate) struct Samples {
    rounds: Vec<(Gofer, Vec<Figure>)>,
}

impl Samples {
    /// Adds one round of one gofer.
    pub(crate) fn add(&mut self, gofer: Gofer, figures: Vec<Figure>) {
        self.rounds.push((gofer, figures));
    }

    /// A row for each figure, in the order of the first round.
    pub(crate) fn markdown(&self, runsc: &str, rounds: usize) -> String {
        let mut text = format!(
            "On {runsc}, median of {rounds}, less is better:\n\n|  | runsc's own gofer | ours | ratio |\n|---|---:|---:|---:|\n"
        );
        for figure in self.rounds.first().map(|(_, figures)| figures.as_slice()).unwrap_or_default() {
            let [stock, ours] = [Gofer::Stock, Gofer::Ours].map(|gofer| self.median(gofer, figure.name));
            let (name, unit, ratio) = (figure.name, figure.unit, ours / stock);
            _ = writeln!(text, "| {name} | {stock:.1} {unit} | {ours:.1} {unit} | {ratio:.2} |");
        }
        text
    }

    fn median(&self, gofer: Gofer, name: &str) -> f64 {
        let of_gofer = self.rounds.iter().filter(|(of, _)| *of == gofer);
        let values = of_gofer.flat_map(|(_, figures)| figures).filter(|figure| figure.name == name);
        median(values.map(|figure| figure.value).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_their_ratio() {
        let mut samples = Samples::default();
        for (gofer, values) in [(Gofer::Stock, [10.0, 8.0, 100.0]), (Gofer::Ours, [5.0, 1.0, 5.0])] {
            for value in values {
                samples.add(gofer, vec![Figure { name: "find", unit: "ms", value }]);
            }
        }
        let text = samples.markdown("a runsc", 3);
        assert!(text.ends_with("| find | 10.0 ms | 5.0 ms | 0.50 |\n"), "{text}");
    }
}
