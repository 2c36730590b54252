//! Lines of the log.

use std::fmt::{self, Write};

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::registry::LookupSpan;

use crate::runsc::args::LogFormat;

/// Writes events as lines.
pub(super) struct Lines {
    format: LogFormat,
    /// Looked up now: the files that say what it is are out of reach later.
    zone: TimeZone,
    /// The process's own, as it sees itself.
    pid: u32,
}

impl Lines {
    pub(super) fn new(format: LogFormat) -> Self {
        Lines { format, zone: TimeZone::system(), pid: std::process::id() }
    }

    fn write(&self, out: &mut dyn Write, level: Level, place: &str, text: &str, now: Timestamp) -> fmt::Result {
        let key = match self.format {
            LogFormat::Text => return self.write_text(out, level, place, text, &now.to_zoned(self.zone.clone())),
            LogFormat::Json => "msg",
            LogFormat::JsonK8s => "log",
        };
        let level = match level {
            Level::ERROR | Level::WARN => "warning",
            Level::INFO => "info",
            Level::DEBUG | Level::TRACE => "debug",
        };
        let time = format!("{now:.9}");
        writeln!(out, "{}", serde_json::json!({key: format!("{place}] {text}"), "level": level, "time": time}))
    }

    fn write_text(&self, out: &mut dyn Write, level: Level, place: &str, text: &str, now: &Zoned) -> fmt::Result {
        let level = match level {
            Level::ERROR | Level::WARN => 'W',
            Level::INFO => 'I',
            Level::DEBUG | Level::TRACE => 'D',
        };
        writeln!(out, "{level}{} {:>7} {place}] {text}", now.strftime("%m%d %H:%M:%S.%6f"), self.pid)
    }
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let metadata = event.metadata();
        let file = metadata.file().and_then(|path| path.rsplit('/').next()).unwrap_or_else(|| metadata.target());
        let place = format!("{file}:{}", metadata.line().unwrap_or_default());
        let mut text = Text::default();
        event.record(&mut text);
        self.write(&mut out, *metadata.level(), &place, &(text.message + &text.fields), Timestamp::now())
    }
}

/// An event's message, and its fields behind it.
#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string does not fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(format: LogFormat) -> String {
        let zone = TimeZone::get("UTC").unwrap_or(TimeZone::UTC);
        let lines = Lines { format, zone, pid: 1 };
        let mut out = String::new();
        let time: Timestamp = "2026-08-21T09:05:03.000123456Z".parse().unwrap();
        lines.write(&mut out, Level::WARN, "serve.rs:7", "say \"no\"\nmore", time).unwrap();
        out
    }

    #[test]
    fn lines_look_as_the_caller_wants_them() {
        assert_eq!(line(LogFormat::Text), "W0821 09:05:03.000123       1 serve.rs:7] say \"no\"\nmore\n");
        for (format, key) in [(LogFormat::Json, "msg"), (LogFormat::JsonK8s, "log")] {
            let line = line(format);
            let object: serde_json::Value = serde_json::from_str(&line).unwrap();
            assert_eq!(object[key], "serve.rs:7] say \"no\"\nmore");
            assert_eq!(object["level"], "warning");
            assert_eq!(object["time"], "2026-08-21T09:05:03.000123456Z");
            assert_eq!(line.matches('\n').count(), 1);
        }
    }
}
