//! A trace as lines of text.

use std::io::{self, Read, Write};

use super::describe::{self, words};
use super::filter::Filter;
use super::paths::Paths;
use super::reader::{Ending, Reader, Record, TraceError};

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
/// Columns: seconds since the start of recording, communicator, duration, message, what it was about, `→`, what came of
/// it.
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
pub(super) fn line(record: &Record<'_>, paths: &Paths) -> String {
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
