//! One page for people, with nothing that would have to be fetched.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::printable;
use crate::case::{CaseResult, Outcome};
use crate::expect::Expectations;
use crate::judge::Judgement;
use crate::report::{Counts, Key, Report, SuiteRun};
use crate::table::seconds;

const STYLE: &str = include_str!("style.css");

/// The results as a page: the table, what has changed, each failure with the messages that were exchanged meanwhile,
/// and all tests.
pub fn html(report: &Report, judgement: &Judgement, expectations: &Expectations) -> String {
    let title = format!("Conformance of {}", report.backend);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { (title) }
                p.dim {
                    "fusebridge " (report.version) ", Linux " (report.kernel) ", seed " (report.seed) ", " (report.date)
                }
                p.dim { code { (printable(&report.command)) } }
                div.wide { (table(report)) }
                (changes(judgement))
                (failures(report, expectations))
                (everything(report))
            }
        }
    };
    page.into_string()
}

fn table(report: &Report) -> Markup {
    html! {
        table {
            thead { tr {
                th { "suite" } th { "mode" } th.number { "passed" } th.number { "failed" } th.number { "skipped" } th.number { "time" }
            } }
            tbody {
                @for run in &report.modes {
                    @for suite in &run.suites {
                        @let Counts { passed, failed, skipped } = suite.counts();
                        tr {
                            td { (suite.suite) }
                            td { (run.mode) }
                            td.number.good[passed > 0] { (passed) }
                            td.number.bad[failed > 0] { (failed) }
                            td.number.skip[skipped > 0] { (skipped) }
                            td.number { (seconds(suite.seconds)) }
                        }
                    }
                }
            }
        }
    }
}

fn changes(judgement: &Judgement) -> Markup {
    let keys = |keys: &[Key]| keys.iter().map(Key::to_string).collect::<Vec<_>>();
    let mut lists = Vec::new();
    if judgement.has_baseline {
        lists.push(("Newly failing", keys(&judgement.failing)));
        lists.push(("Still failing", keys(&judgement.still_failing)));
        lists.push(("Newly passing", keys(&judgement.newly_passing)));
    }
    let passes = judgement.unexpected_passes.iter().map(|(key, reason)| format!("{key}: {reason}"));
    lists.push(("Passing although expected to fail", passes.collect()));
    html! {
        @for (title, lines) in lists.into_iter().filter(|(_, lines)| !lines.is_empty()) {
            h2 { (title) ": " (lines.len()) }
            ul { @for line in lines { li { (line) } } }
        }
    }
}

fn failures(report: &Report, expectations: &Expectations) -> Markup {
    let count = report.failures().count();
    html! {
        h2 { @if count == 0 { "No failures" } @else { "Failures: " (count) } }
        @for (key, case) in report.failures() {
            (failure(&key, case, expectations.reason(&key)))
        }
    }
}

fn failure(key: &Key, case: &CaseResult, expected: Option<&str>) -> Markup {
    html! {
        article.known[expected.is_some()] {
            h3 { (key.suite) "/" (printable(&key.case)) " " span.dim { (key.mode) ", " (seconds(case.seconds)) } }
            @if !case.about.is_empty() { div.dim { (case.about) } }
            @if let Some(reason) = expected { div.skip { "Expected: " (reason) } }
            @if let Some(failure) = case.failure() {
                dl {
                    @for (word, said) in [("operation", &failure.operation), ("expected", &failure.expected), ("actual", &failure.actual)] {
                        dt { (word) } dd { (said.lines().map(printable).collect::<Vec<_>>().join("\n")) }
                    }
                }
            }
            @if !case.messages.is_empty() {
                details {
                    summary { (case.messages.len()) " messages" }
                    pre { @for line in &case.messages { (line) "\n" } }
                }
            }
        }
    }
}

fn everything(report: &Report) -> Markup {
    html! {
        h2 { "All tests" }
        @for run in &report.modes {
            @for suite in &run.suites {
                details {
                    summary { (suite.suite) " " (run.mode) ": " (suite.cases.len()) " tests" }
                    div.wide { (tests(suite)) }
                }
            }
        }
    }
}

fn tests(suite: &SuiteRun) -> Markup {
    let mut cases: Vec<&CaseResult> = suite.cases.iter().collect();
    cases.sort_by(|one, two| one.name.cmp(&two.name));
    html! {
        table { @for case in cases { tr {
            td.name { (printable(&case.name)) }
            td { @match &case.outcome {
                Outcome::Passed => { span.good { "passed" } },
                Outcome::Failed(_) => { span.bad { "failed" } },
                Outcome::Skipped { .. } => { span.skip { "skipped" } },
            } }
            td.dim { (case.about) @if let Outcome::Skipped { reason } = &case.outcome { " (" (reason) ")" } }
            td.number { (seconds(case.seconds)) }
        } } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn the_page_needs_nothing_else_and_escapes_what_it_shows() {
        let mut report = testing::report();
        report.modes[0].suites[0].cases[1].messages = vec!["Walk <script>".to_owned()];
        let expectations = Expectations::default();
        let page = html(&report, &Judgement::new(&report, &expectations, None), &expectations);
        assert!(page.starts_with("<!DOCTYPE html>"));
        for part in [
            "fusebridge 1.2.3, Linux 6.18.0, seed 7, 2026-11-28",
            "fusebridge conform mem:",
            "Walk &lt;script&gt;",
            "what &lt;has&gt; to hold &amp; more",
            "Failures: 1",
            "1 messages",
        ] {
            assert!(page.contains(part), "{part}");
        }
        for resource in ["http", "src=", "<link", "url(", "<script"] {
            assert!(!page.contains(resource), "{resource}");
        }
    }
}
