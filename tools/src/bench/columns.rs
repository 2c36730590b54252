//! Tables with a column for each program and a row for each measurement.

use std::fmt::Write as _;
use std::time::Duration;

use super::table::median;

/// One measurement.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figure {
    /// What was measured.
    pub(crate) name: &'static str,
    /// In which unit.
    pub(crate) unit: Unit,
    /// How much.
    pub(crate) value: f64,
}

impl Figure {
    /// What `count` units of work are that have taken so long.
    pub(crate) fn of(name: &'static str, unit: Unit, count: u32, took: Duration) -> Self {
        let seconds = took.as_secs_f64();
        let value = if unit == Unit::Time { seconds * 1e3 } else { f64::from(count) / seconds };
        Figure { name, unit, value }
    }
}

/// What figures are numbers of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Operations in a second.
    Rate,
    /// MiB in a second.
    Flow,
    /// Milliseconds.
    Time,
    /// MiB of memory, or of anything of which less is better.
    Size,
    /// A number of something of which less is better.
    Count,
}

impl Unit {
    fn word(self) -> &'static str {
        match self {
            Self::Rate => "/s",
            Self::Flow => "MiB/s",
            Self::Time => "ms",
            Self::Size => "MiB",
            Self::Count => "",
        }
    }

    /// How many times better `ours` is.
    fn ratio(self, theirs: f64, ours: f64) -> f64 {
        match self {
            Self::Rate | Self::Flow => ours / theirs,
            Self::Time | Self::Size | Self::Count => theirs / ours,
        }
    }
}

/// The figures of all rounds, by what was measured.
#[derive(Debug, Default)]
pub(crate) struct Samples {
    rounds: Vec<(String, Vec<Figure>)>,
}

impl Samples {
    /// Adds a round of the subject of this name.
    pub(crate) fn add(&mut self, subject: &str, figures: Vec<Figure>) {
        self.rounds.push((subject.to_owned(), figures));
    }

    /// A column for each subject and a row for each figure, in the order in which they came first. In parentheses is how
    /// many times better a figure is than those of `references`.
    pub(crate) fn markdown(&self, references: &[&str]) -> String {
        let subjects = unique(self.rounds.iter().map(|(subject, _)| subject.as_str()));
        let names = unique(self.rounds.iter().flat_map(|(_, figures)| figures).map(|figure| figure.name));
        let mut text = format!("|  | {} |\n|---|", subjects.join(" | "));
        text.push_str(&"---:|".repeat(subjects.len()));
        for name in names {
            _ = write!(text, "\n| {name} |");
            for subject in &subjects {
                text.push_str(&self.cell(subject, name, references));
            }
        }
        text.push('\n');
        text
    }

    fn cell(&self, subject: &str, name: &str, references: &[&str]) -> String {
        let Some((value, unit)) = self.value(subject, name) else { return " |".to_owned() };
        let digits = usize::from(value < 100.0 && value.fract() > 0.0);
        let figure = format!(" {value:.digits$} {}", unit.word());
        let ratios: Vec<String> = references
            .iter()
            .filter(|reference| **reference != subject)
            .filter_map(|reference| Some(unit.ratio(self.value(reference, name)?.0, value)))
            .map(|ratio| if ratio.is_normal() { format!("{ratio:.2}") } else { "–".to_owned() })
            .collect();
        let ratios = if ratios.is_empty() { String::new() } else { format!(" ({})", ratios.join(", ")) };
        format!("{}{ratios} |", figure.trim_end())
    }

    /// The median of a figure.
    fn value(&self, subject: &str, name: &str) -> Option<(f64, Unit)> {
        let of_subject = self.rounds.iter().filter(|(of, _)| of == subject);
        let figures: Vec<_> =
            of_subject.flat_map(|(_, figures)| figures).filter(|figure| figure.name == name).collect();
        let unit = figures.first()?.unit;
        Some((median(figures.iter().map(|figure| figure.value).collect()), unit))
    }
}

/// Each once, in the order of their first appearance.
fn unique<'a>(words: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut unique = Vec::new();
    for word in words {
        if !unique.contains(&word) {
            unique.push(word);
        }
    }
    unique
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_better_has_the_larger_ratio() {
        let mut samples = Samples::default();
        for (subject, factor) in [("theirs", 1.0), ("ours", 2.0), ("best", 4.0)] {
            let figure = |name, unit, value| Figure { name, unit, value };
            let mut figures =
                vec![figure("stat", Unit::Rate, 100.0 * factor), figure("untar", Unit::Time, 100.0 / factor)];
            if subject == "best" {
                figures.push(figure("requests", Unit::Count, 2.5));
            }
            samples.add(subject, figures);
        }
        let text = samples.markdown(&["theirs"]);
        assert!(text.contains("| stat | 100 /s | 200 /s (2.00) | 400 /s (4.00) |"), "{text}");
        assert!(text.contains("| untar | 100 ms | 50 ms (2.00) | 25 ms (4.00) |"), "{text}");
        assert!(text.contains("| requests | | | 2.5 |"), "{text}");
        let text = samples.markdown(&["theirs", "ours"]);
        assert!(text.contains("| stat | 100 /s (0.50) | 200 /s (2.00) | 400 /s (4.00, 2.00) |"), "{text}");
    }
}
