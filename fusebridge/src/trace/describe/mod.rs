//! Messages in words.
//!
//! A path is followed by the FDID that stands for it in brackets: `/dir[7]/file` is the name `file` in what FD 7 stands
//! for.

mod answer;
mod request;
pub(crate) mod words;

use std::fmt::Write as _;

use lisafs::wire::{Malformed, MessageId};

use super::paths::Paths;
use super::reader::Record;

/// What was asked and what was answered, in one line.
pub(super) fn message(record: &Record<'_>, paths: &Paths) -> String {
    let request = request(record, paths);
    let mut text = column(record.message);
    text.push_str(&request);
    if !request.is_empty() {
        text.push(' ');
    }
    let _ = write!(text, "→ {}", reply(record));
    text
}

/// What was answered.
pub(super) fn reply(record: &Record<'_>) -> String {
    answer::outcome(record).unwrap_or_else(|Malformed| "malformed".to_owned())
}

/// The kind of a message, with room behind it.
pub(super) fn column(message: MessageId) -> String {
    let name = format!("{message:?}");
    format!("{name:<13} ")
}

/// What was asked, without the kind of the message.
pub(super) fn request(record: &Record<'_>, paths: &Paths) -> String {
    request::request(record.message, record.request, paths).unwrap_or_else(|Malformed| "malformed".to_owned())
}
