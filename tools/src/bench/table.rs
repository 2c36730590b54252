//! Medians, and the table in markdown.

use std::fmt::Write as _;
use std::ops::Range;

use super::subject::Subject;
use super::work::{Figure, MEASURES, Measure};

/// So many of the measures have one caller.
const ALONE: usize = 10;

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

    /// The tables: absolute figures of the native directory, ratios to them below; then what several callers get; then
    /// processor time.
    pub(crate) fn markdown(&self, backing: &str, rounds: usize) -> String {
        let mut text = format!("On {backing}, median of {rounds}:\n\n");
        let (alone, together) = (0..ALONE, ALONE..MEASURES.len());
        for measures in [alone.clone(), together.clone()] {
            self.table(
                &mut text,
                measures,
                |figure| figure.rate,
                |text, value, native, measure| match native {
                    None => _ = write!(text, " {value:.0} {} |", measure.unit),
                    Some(native) => _ = write!(text, " {:.3} |", value / native),
                },
            );
        }
        text.push_str("Microseconds of processor time for each, of callers and servers; less is better:\n\n");
        for measures in [alone, together] {
            self.table(&mut text, measures, |figure| figure.cpu, |text, value, _, _| _ = write!(text, " {value:.1} |"));
        }
        text
    }

    fn table(
        &self,
        text: &mut String,
        measures: Range<usize>,
        value: impl Fn(Figure) -> f64,
        cell: impl Fn(&mut String, f64, Option<f64>, &Measure),
    ) {
        text.push_str("|  |");
        for measure in &MEASURES[measures.clone()] {
            _ = write!(text, " {} |", measure.name);
        }
        text.push_str("\n|---|");
        text.push_str(&"---:|".repeat(measures.len()));
        for subject in self.subjects() {
            _ = write!(text, "\n| {} |", subject.name());
            for measure in measures.clone() {
                let native = (subject != Subject::Native).then(|| self.median(Subject::Native, measure, &value));
                cell(text, self.median(subject, measure, &value), native, &MEASURES[measure]);
            }
        }
        text.push_str("\n\n");
    }

    /// Everything that was measured, in the order of the first round.
    fn subjects(&self) -> Vec<Subject> {
        let mut subjects = Vec::new();
        for (subject, _) in &self.rounds {
            if !subjects.contains(subject) {
                subjects.push(*subject);
            }
        }
        subjects
    }

    fn median(&self, subject: Subject, measure: usize, value: impl Fn(Figure) -> f64) -> f64 {
        let rounds = self.rounds.iter().filter(|(of, _)| *of == subject);
        median(rounds.map(|(_, figures)| value(figures[measure])).collect())
    }
}

/// The middle one, or the mean of both middle ones.
pub(super) fn median(mut values: Vec<f64>) -> f64 {
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
        for subject in Subject::all(false) {
            samples.add(subject, vec![Figure { rate: 2.0, cpu: 3.0 }; MEASURES.len()]);
        }
        let text = samples.markdown("paper", 1);
        assert_eq!(text.lines().filter(|line| line.contains("1.000")).count(), 2 * (Subject::all(false).len() - 1));
    }
}
