//! The results for people at a terminal.

use std::fmt::Write as _;
use std::time::Duration;

use super::output::printable;
use super::report::{Counts, Report};

/// The table of suites, and below it each failure.
pub fn table(report: &Report) -> String {
    let mut text = summary(&[report]);
    for (key, case) in report.failures() {
        if let Some(failure) = case.failure() {
            let _ = writeln!(text, "\nFAILED {}", printable(&key.to_string()));
            for (word, said) in
                [("operation", &failure.operation), ("expected", &failure.expected), ("actual", &failure.actual)]
            {
                let lines: Vec<String> = said.lines().map(printable).collect();
                let _ = writeln!(text, "  {word:<9}  {}", lines.join("\n             "));
            }
        }
    }
    text
}

/// The table of suites. With several reports each row says whose it is.
pub fn summary(reports: &[&Report]) -> String {
    let mut rows = vec![["suite", "mode", "passed", "failed", "skipped", "time", "backend"].map(str::to_owned)];
    for report in reports {
        for run in &report.modes {
            for suite in &run.suites {
                let Counts { passed, failed, skipped } = suite.counts();
                let counts = [passed, failed, skipped].map(|count| count.to_string());
                let [passed, failed, skipped] = counts;
                let (mode, time) = (run.mode.to_string(), format!("{:.1} s", suite.seconds));
                rows.push([suite.suite.clone(), mode, passed, failed, skipped, time, report.backend.clone()]);
            }
        }
    }
    let columns = if reports.len() > 1 { 7 } else { 6 };
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: [usize; 7] = std::array::from_fn(width);
    let mut text = String::new();
    for row in &rows {
        for (column, (cell, width)) in row.iter().zip(widths).take(columns).enumerate() {
            // Numbers end in one column, words begin in one.
            let is_number = (2..=5).contains(&column);
            let gap = if column == 0 { "" } else { "  " };
            let _ = if is_number { write!(text, "{gap}{cell:>width$}") } else { write!(text, "{gap}{cell:<width$}") };
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    text
}

/// A time as a person would say it.
pub(super) fn seconds(seconds: f64) -> String {
    let duration = Duration::try_from_secs_f64(seconds).unwrap_or_default();
    if duration < Duration::from_secs(1) {
        format!("{} ms", duration.as_millis())
    } else {
        format!("{:.1} s", duration.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::{Failure, Outcome};
    use crate::testing;

    #[test]
    fn terminals_get_nothing_to_obey() {
        let failure = Failure::new("read(\u{1b}[2J)", "a\nb", "\u{7f}");
        let text = table(&testing::with(vec![testing::case("a\u{1b}", Outcome::Failed(failure))]));
        assert!(!text.contains(['\u{1b}', '\u{7f}']), "{text}");
        assert!(text.contains("\n  operation  read(\\u{1b}[2J)\n  expected   a\n             b\n"), "{text}");
    }

    #[test]
    fn columns_line_up_and_failures_follow() {
        let text = table(&testing::report());
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "suite  mode         passed  failed  skipped   time");
        assert_eq!(lines[1], "mount  auto/shared       1       1        1  1.5 s");
        assert_eq!(lines[3], "FAILED mount/links::one (auto/shared)");
        assert_eq!(lines[4], "  operation  stat(a).st_nlink");
        assert_eq!(lines[5], "  expected   2");
        assert_eq!(lines[6], "  actual     1");
    }
}
