//! Medians, and the table in markdown.

use std::fmt::Write as _;

use super::subject::Subject;
use super::work::{Figure, MEASURES};

/// The figures of all rounds.
#[derive(Default)]
pub(crate) struct Samples {
    rounds: Vec<(Subject, Vec<Figure>)>,
}

impl Samples {
    /// Adds one round of one subject: a figure for each measure.
    pub(crate) fn add(&mut self, subject: Subject, figures: Vec<Figure>) {
        self.rounds.push((subject, figures));
    }

    /// The table: absolute figures of the native directory, ratios to them below.
    pub(crate) fn markdown(&self, backing: &str, rounds: usize) -> String {
        let mut text = format!("On {backing}, median of {rounds}:\n\n|  |");
        for measure in MEASURES {
            _ = write!(text, " {} |", measure.name);
        }
        text.push_str("\n|---|");
        text.push_str(&"---:|".repeat(MEASURES.len()));
        let native = self.medians(Subject::Native);
        text.push_str("\n| native |");
        for (value, measure) in native.iter().zip(MEASURES) {
            _ = write!(text, " {value:.0} {} |", measure.unit);
        }
        for subject in Subject::ALL.into_iter().filter(|&subject| subject != Subject::Native) {
            _ = write!(text, "\n| {} |", subject.name());
            for (value, native) in self.medians(subject).iter().zip(&native) {
                _ = write!(text, " {:.3} |", value / native);
            }
        }
        text.push_str("\n\n");
        text
    }

    fn medians(&self, subject: Subject) -> Vec<Figure> {
        let rounds: Vec<&Vec<Figure>> =
            self.rounds.iter().filter(|(of, _)| *of == subject).map(|(_, figures)| figures).collect();
        (0..MEASURES.len()).map(|measure| median(rounds.iter().map(|figures| figures[measure]).collect())).collect()
    }
}

/// The middle one, or the mean of both middle ones.
pub(super) fn median(mut values: Vec<Figure>) -> Figure {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_one_is_taken() {
        assert!((median(vec![3.0, 1.0, 2.0]) - 2.0).abs() < 1e-9);
        assert!((median(vec![4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < 1e-9);
        assert!(median(Vec::new()).is_nan());
    }

    #[test]
    fn the_table_has_a_row_for_each_subject() {
        let mut samples = Samples::default();
        for subject in Subject::ALL {
            samples.add(subject, vec![2.0; MEASURES.len()]);
        }
        let text = samples.markdown("paper", 1);
        assert_eq!(text.lines().filter(|line| line.contains("1.000")).count(), Subject::ALL.len() - 1);
    }
}
