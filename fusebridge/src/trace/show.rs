//! A trace as lines of text.

use std::io::{self, Read, Write};

use super::describe::{self, words};
use super::filter::{self, Filter};
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
    show_as(line, reader, filter, most, out)
}

/// [`show`] for programs: one JSON object per line.
pub fn show_json<R: Read>(
    reader: &mut Reader<R>,
    filter: &Filter,
    most: u64,
    out: &mut impl Write,
) -> Result<Shown, ShowError> {
    show_as(object, reader, filter, most, out)
}

fn show_as<R: Read>(
    as_line: fn(&Record<'_>, &Paths) -> String,
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
            writeln!(out, "{}", as_line(&record, &paths))?;
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

/// One message as [`show_json`] writes it.
fn object(record: &Record<'_>, paths: &Paths) -> String {
    let object = serde_json::json!({
        "start": record.start.as_secs_f64(),
        "communicator": communicator(record.communicator),
        "seconds": record.duration.as_secs_f64(),
        "message": format!("{:?}", record.message),
        "request": describe::request(record, paths),
        "reply": describe::reply(record),
        "errno": filter::error(record).map(words::errno_name),
    });
    object.to_string()
}

/// The name of a communicator.
fn communicator(number: u16) -> String {
    if number == 0 { "sock".to_owned() } else { format!("ch{number}") }
}
