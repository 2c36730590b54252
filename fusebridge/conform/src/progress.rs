//! How a run goes on, while it does: a bar on a terminal, otherwise a line for each suite and each failure.

use std::collections::HashSet;
use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use parking_lot::Mutex;

use super::case::{CaseResult, Outcome};
use super::context::Observer;
use super::output::printable;
use super::report::Mode;
use crate::stderr::say;

/// Shows progress on stderr.
pub struct Progress {
    mode: String,
    is_terminal: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    bar: Option<ProgressBar>,
    /// Names, each once however often it is run.
    ended: HashSet<String>,
    failed: HashSet<String>,
}

impl Progress {
    /// Progress of the suites in this mode.
    pub fn new(mode: &Mode) -> Self {
        Progress { mode: mode.to_string(), is_terminal: std::io::stderr().is_terminal(), state: Mutex::default() }
    }
}

impl Observer for Progress {
    fn begins(&self, suite: &str, tests: Option<usize>) {
        let mut state = self.state.lock();
        if !self.is_terminal {
            return;
        }
        let (bar, template) = match tests {
            Some(tests) => (ProgressBar::new(tests as u64), "{prefix:<28} [{bar:30}] {pos}/{len} {wide_msg}"),
            None => (ProgressBar::no_length(), "{prefix:<28} {spinner} {pos} {wide_msg}"),
        };
        // Nothing is drawn before the style is set.
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = bar.with_style(style.progress_chars("=> ")).with_prefix(format!("{suite} {}", self.mode));
        bar.enable_steady_tick(Duration::from_millis(200));
        if let Some(before) = state.bar.replace(bar) {
            before.finish_and_clear();
        }
    }

    fn ended(&self, suite: &str, case: &CaseResult) {
        let mut state = self.state.lock();
        state.ended.insert(case.name.clone());
        let mut line = None;
        if let Outcome::Failed(failure) = &case.outcome {
            state.failed.insert(case.name.clone());
            let actual = failure.actual.lines().next().unwrap_or_default();
            line = Some(printable(&format!("FAILED {suite}/{} ({}): {actual}", case.name, self.mode)));
        }
        match (&state.bar, line) {
            (Some(bar), line) => {
                if let Some(line) = line {
                    bar.suspend(|| say(line));
                }
                bar.inc(1);
                bar.set_message(printable(&case.name));
            }
            (None, Some(line)) => say(line),
            (None, None) => {}
        }
    }

    fn over(&self, suite: &str) {
        let mut state = self.state.lock();
        if let Some(bar) = state.bar.take() {
            bar.finish_and_clear();
        } else {
            let (ended, failed) = (state.ended.len(), state.failed.len());
            say(format_args!("{suite} {}: {ended} tests, {failed} failed", self.mode));
        }
        *state = State::default();
    }
}
