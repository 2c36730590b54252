//! Messages in words.
//!
//! A path is followed by the FDID that stands for it in brackets: `/dir[7]/file` is the name `file` in what FD 7 stands
//! for.

mod answer;
mod request;
pub(crate) mod words;

use std::fmt::Write as _;

use lisafs::wire::Malformed;

use super::paths::Paths;
use super::reader::Record;

/// What was asked and what was answered, in one line.
pub(super) fn message(record: &Record<'_>, paths: &Paths) -> String {
    let malformed = |Malformed| "malformed".to_owned();
    let request = request(record, paths);
    let mut text = format!("{:<14}{request}", format!("{:?}", record.message));
    if !request.is_empty() {
        text.push(' ');
    }
    let _ = write!(text, "→ {}", answer::outcome(record).unwrap_or_else(malformed));
    text
}

/// What was asked, without the kind of the message.
pub(super) fn request(record: &Record<'_>, paths: &Paths) -> String {
    request::request(record.message, record.request, paths).unwrap_or_else(|Malformed| "malformed".to_owned())
}
