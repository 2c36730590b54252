//! A trace as lines of text.

use std::io::{self, Read, Write};
use std::path::Path;

use super::describe::{self, words};
use super::filter::Filter;
use super::paths::Paths;
use super::reader::{Ending, Reader, Record, TraceError};
use super::recorder::Mark;

/// What was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    /// How many messages.
    pub lines: u64,
    /// How the trace ends, if it was read to its end: not if there were as many messages as wanted before.
    pub ending: Option<Ending>,
}

/// Why a trace cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum ShowError {
    /// It cannot be read.
    #[error("{0}")]
    Trace(#[from] TraceError),
    /// Nobody takes the text.
    #[error("cannot write: {0}")]
    Output(#[from] io::Error),
}

/// Writes the messages that `filter` accepts to `out`, `most` of them at most: one line each.
///
/// Columns: seconds since the start of recording, communicator, duration, message, what it was about, `→`, what came of it.
pub fn show<R: Read>(
    reader: &mut Reader<R>,
    filter: &Filter,
    most: u64,
    out: &mut impl Write,
) -> Result<Shown, ShowError> {
    let mut paths = Paths::default();
    let mut lines = 0;
    while lines < most {
        let Some(record) = reader.next_record()? else { break };
        if filter.accepts(&record, &paths) {
            writeln!(out, "{}", line(&record, &paths))?;
            lines += 1;
        }
        paths.learn(&record);
    }
    Ok(Shown { lines, ending: reader.ending() })
}

/// One message as [`show`] writes it.
fn line(record: &Record<'_>, paths: &Paths) -> String {
    format!(
        "{:>12.6}  {:<4}  {:>7}  {}",
        record.start.as_secs_f64(),
        communicator(record.communicator),
        words::duration(record.duration),
        describe::message(record, paths)
    )
}

/// The name of a communicator.
fn communicator(number: u16) -> String {
    if number == 0 { "sock".to_owned() } else { format!("ch{number}") }
}

/// The messages between two marks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Excerpt {
    /// One for each message, as [`show`] writes them: the first half and the last half of those that there are, with a line
    /// in between that says how many are left out.
    pub lines: Vec<String>,
    /// How many messages are left out.
    pub left_out: usize,
}

/// The messages of the trace `path` that were under way between each pair of marks, `most` for each pair at most. Reads the
/// trace once, however many pairs there are. [Flush](super::Recorder::flush) a recorder before.
pub fn excerpts(path: &Path, windows: &[(Mark, Mark)], most: usize) -> Result<Vec<Excerpt>, TraceError> {
    let mut reader = Reader::open(path)?;
    let mut paths = Paths::default();
    let mut found: Vec<Ends> = windows.iter().map(|_| Ends::default()).collect();
    while let Some(record) = reader.next_record()? {
        let mut text = None;
        for ((from, until), ends) in windows.iter().zip(&mut found) {
            if record.end() >= from.0 && record.start < until.0 {
                ends.add(most, || text.get_or_insert_with(|| line(&record, &paths)).clone());
            }
        }
        paths.learn(&record);
    }
    Ok(found.into_iter().map(Ends::into_excerpt).collect())
}

/// The first and the last lines of many.
#[derive(Debug, Default)]
struct Ends {
    first: Vec<String>,
    last: std::collections::VecDeque<String>,
    left_out: usize,
}

impl Ends {
    fn add(&mut self, most: usize, line: impl FnOnce() -> String) {
        if self.first.len() < most.div_ceil(2) {
            self.first.push(line());
            return;
        }
        self.last.push_back(line());
        if self.last.len() > most / 2 {
            self.last.pop_front();
            self.left_out += 1;
        }
    }

    fn into_excerpt(self) -> Excerpt {
        let mut lines = self.first;
        if self.left_out > 0 {
            lines.push(format!("{:>12}  ({} messages are left out here)", "...", self.left_out));
        }
        lines.extend(self.last);
        Excerpt { lines, left_out: self.left_out }
    }
}
