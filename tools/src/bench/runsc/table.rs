//! The table of one runsc.

use std::collections::HashSet;
use std::fmt::Write as _;

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

/// Who serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// runsc's own gofer.
    Stock,
    /// Ours.
    Ours,
    /// A volume server, to which ours hands the connection over.
    Volume,
}

impl Way {
    /// All of them, in the order of the table.
    pub(crate) const ALL: [Self; 3] = [Self::Stock, Self::Ours, Self::Volume];

    /// Its name in tables.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Stock => "runsc's own gofer",
            Self::Ours => "ours",
            Self::Volume => "volume server",
        }
    }
}

/// The figures of all rounds.
#[derive(Debug, Default)]
pub(crate) struct Samples {
    rounds: Vec<(Way, Vec<Figure>)>,
}

impl Samples {
    /// Adds one round of one of them.
    pub(crate) fn add(&mut self, way: Way, figures: Vec<Figure>) {
        self.rounds.push((way, figures));
    }

    /// A row for each figure, in the order in which they came first.
    pub(crate) fn markdown(&self, runsc: &str, rounds: usize) -> String {
        let mut text = format!(
            "On {runsc}, median of {rounds}, less is better:\n\n|  | runsc's own gofer | ours | ratio | volume server | ratio to ours |\n|---|---:|---:|---:|---:|---:|\n"
        );
        let mut seen = HashSet::new();
        for figure in self.rounds.iter().flat_map(|(_, figures)| figures).filter(|figure| seen.insert(figure.name)) {
            let [stock, ours, volume] = Way::ALL.map(|way| self.median(way, figure.name));
            let (name, unit, ratio, to_ours) = (figure.name, figure.unit, ours / stock, volume / ours);
            _ = writeln!(
                text,
                "| {name} | {stock:.1} {unit} | {ours:.1} {unit} | {ratio:.2} | {volume:.1} {unit} | {to_ours:.2} |"
            );
        }
        text
    }

    fn median(&self, way: Way, name: &str) -> f64 {
        let of_way = self.rounds.iter().filter(|(of, _)| *of == way);
        let values = of_way.flat_map(|(_, figures)| figures).filter(|figure| figure.name == name);
        median(values.map(|figure| figure.value).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_their_ratio() {
        let mut samples = Samples::default();
        for (way, values) in
            [(Way::Stock, [10.0, 8.0, 100.0]), (Way::Ours, [5.0, 1.0, 5.0]), (Way::Volume, [6.0, 6.0, 9.0])]
        {
            for value in values {
                samples.add(way, vec![Figure { name: "find", unit: "ms", value }]);
            }
        }
        let text = samples.markdown("a runsc", 3);
        assert!(text.ends_with("| find | 10.0 ms | 5.0 ms | 0.50 | 6.0 ms | 1.20 |\n"), "{text}");
    }
}
