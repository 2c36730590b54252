//! Options that choose messages.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use clap::Args;
use lisafs::wire::MessageId;

use crate::trace::{Filter, errno_from_name};

/// Which messages are wanted: those that fit every option. An option that is given more than once wants any of its
/// values.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Which messages")]
pub(super) struct Choice {
    /// Only this kind: Walk, PRead, ..
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = message)]
    message: Vec<MessageId>,

    /// Only about this file or directory, or what is in it; a path from the root of the mount
    #[arg(long, value_name = "PATH")]
    path: Vec<OsString>,

    /// Only those refused with this error: a name such as ENOENT, or a number
    #[arg(long, value_name = "ERRNO", value_delimiter = ',', value_parser = errno)]
    errno: Vec<u32>,

    /// Only those refused with any error or not answered
    #[arg(long)]
    failed: bool,

    /// Only those that took longer: 50us, 2ms, 1.5s
    #[arg(long, value_name = "TIME", value_parser = duration)]
    slower_than: Option<Duration>,

    /// Only those in flight at this time after the start of the recording, or later
    #[arg(long, value_name = "TIME", value_parser = time)]
    from: Option<Duration>,

    /// Only those in flight before this time after the start of the recording
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<Duration>,
}

impl Choice {
    pub(super) fn filter(&self) -> Filter {
        Filter {
            messages: self.message.clone(),
            paths: self.path.iter().map(|path| from_root(path.as_bytes())).collect(),
            errnos: self.errno.clone(),
            failed: self.failed,
            slower_than: self.slower_than,
            from: self.from,
            until: self.until,
        }
    }
}

/// `path` with one slash before each name and none behind.
fn from_root(path: &[u8]) -> Vec<u8> {
    let names = path.split(|byte| *byte == b'/').filter(|name| !matches!(*name, b"" | b"."));
    let path: Vec<u8> = names.flat_map(|name| [b"/", name].concat()).collect();
    if path.is_empty() { b"/".to_vec() } else { path }
}

fn message(name: &str) -> Result<MessageId, String> {
    let is_called = |id: &&MessageId| id.name().is_some_and(|known| known.eq_ignore_ascii_case(name));
    let mut requests = MessageId::ALL.iter().chain(MessageId::PRIVATE).filter(|id| **id != MessageId::ERROR);
    requests.find(is_called).copied().ok_or_else(|| {
        let known: Vec<&str> = MessageId::ALL.iter().skip(1).filter_map(|id| id.name()).collect();
        format!("no such message; known are {}", known.join(", "))
    })
}

fn errno(name: &str) -> Result<u32, String> {
    errno_from_name(name).ok_or_else(|| "not an errno; use a name such as ENOENT, or a number".to_owned())
}

/// How long something took, with a unit: whoever writes 5 may have milliseconds in mind.
fn duration(text: &str) -> Result<Duration, String> {
    match text.ends_with(|last: char| last.is_ascii_digit()) {
        true => Err("a unit is missing; use a time such as 50us, 2ms or 1.5s".to_owned()),
        false => time(text),
    }
}

/// A point in time; seconds are what `trace show` prints.
fn time(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|character: char| character.is_alphabetic());
    let unit = match text[digits.len()..].trim() {
        "" | "s" => 1.0,
        "ms" => 1e-3,
        "us" | "µs" => 1e-6,
        "ns" => 1e-9,
        _ => return Err("use a time such as 50us, 2ms or 1.5s".to_owned()),
    };
    let number: f64 = digits.trim().parse().map_err(|_| "use a time such as 50us, 2ms or 1.5s".to_owned())?;
    Duration::try_from_secs_f64(number * unit).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        assert_eq!(time("50us"), Ok(Duration::from_micros(50)));
        assert_eq!(time("50µs"), Ok(Duration::from_micros(50)));
        assert_eq!(time("1.5"), Ok(Duration::from_millis(1500)));
        assert_eq!(time("2 ms"), Ok(Duration::from_millis(2)));
        assert_eq!(duration("2ms"), time("2ms"));
        assert!(duration("5").unwrap_err().contains("unit"));
        for bad in ["", "ms", "5h", "-1", "x"] {
            assert!(time(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn paths_begin_at_the_root() {
        for path in ["a/b", "/a/b", "/a//b/", "./a/b"] {
            assert_eq!(from_root(path.as_bytes()), b"/a/b");
        }
        assert_eq!(from_root(b"/"), b"/");
    }

    #[test]
    fn messages_and_errors_have_names() {
        assert_eq!(message("walk"), Ok(MessageId::WALK));
        assert_eq!(message("Getdents64"), Ok(MessageId::GETDENTS64));
        assert!(message("error").unwrap_err().contains("PRead"));
        assert_eq!(errno("ENOENT"), Ok(2));
        assert!(errno("ENO").is_err());
    }
}
