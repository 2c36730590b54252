//! What came of a replay, for people.

use std::fmt;
use std::time::Duration;

use lisafs::wire::MessageId;

use super::super::describe::column;
use super::super::describe::words::duration;
use super::super::reader::Ending;

/// An answer that was another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Which message of the trace, counted from 1.
    pub number: u64,
    /// When its request was sent, counted from the start of recording.
    pub start: Duration,
    /// The kind of the message.
    pub message: MessageId,
    /// What it was about.
    pub request: String,
    /// What is different.
    pub what: Vec<String>,
    /// Another request was under way at the same time when it was recorded: their order may be another one now.
    pub overlapped: bool,
}

/// What came of a replay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Requests that were sent.
    pub sent: u64,
    /// Answers that were others.
    pub differences: u64,
    /// Of these, those to requests that were not alone when they were recorded.
    pub overlapped: u64,
    /// Requests that were not sent, since what they are about is not there: an answer before was another one.
    pub missing: u64,
    /// Requests that were not sent, since they are malformed or of an unknown kind.
    pub unknown: u64,
    /// Requests that had no answer when they were recorded. They were sent, but there is nothing to compare with.
    pub unanswered: u64,
    /// Answers that came with descriptors which were perhaps used when they were recorded: that is not in the trace.
    pub donated: u64,
    /// How long the answers took when they were recorded.
    pub recorded_time: Duration,
    /// How long they took now.
    pub time: Duration,
    /// How the trace ends.
    pub ending: Option<Ending>,
    /// The connection ended before the trace.
    pub lost: bool,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = if self.overlapped { "~" } else { " " };
        let message = column(self.message);
        write!(f, "{:>12.6} {mark}{message}{}: ", self.start.as_secs_f64(), self.request)?;
        f.write_str(&self.what.join("; "))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { sent, differences, overlapped, missing, unknown, unanswered, donated, .. } = *self;
        write!(f, "{sent} requests sent again, {differences} answers differ; they took {}, ", duration(self.time))?;
        writeln!(f, "and {} when they were recorded", duration(self.recorded_time))?;
        if overlapped > 0 {
            writeln!(
                f,
                "~ {overlapped} of the differences may be due to order: other requests were under way as well"
            )?;
        }
        if missing > 0 {
            writeln!(
                f,
                "{missing} requests were not sent: what they are about is not there, due to differences before"
            )?;
        }
        if unknown > 0 {
            writeln!(f, "{unknown} requests were not sent: they are malformed or of an unknown kind")?;
        }
        if unanswered > 0 {
            writeln!(f, "{unanswered} requests had no answer when they were recorded, and were not compared")?;
        }
        if donated > 0 && differences > 0 {
            writeln!(
                f,
                "{donated} answers brought descriptors when they were recorded; what was written through these is not in \
                 the trace, and sizes may differ for this reason: record with --io rpc"
            )?;
        }
        if self.lost {
            writeln!(f, "the server ended the connection before the end of the trace")?;
        }
        Ok(())
    }
}
