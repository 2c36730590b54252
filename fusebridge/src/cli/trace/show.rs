//! `fusebridge trace show`

use std::io::{BufWriter, ErrorKind, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use clap::Args;
use jiff::{SignedDuration, Timestamp};

use super::choice::Choice;
use super::{Failure, check, open};
use crate::trace::{ShowError, show, show_json};

const EXAMPLES: &str = "\
Each line has the seconds since the start of the recording, the communicator
(sock or chN), the duration, the message, its arguments, and after the arrow the
reply. /dir[7]/file is the name file in the directory of FD 7.

Examples:
  fusebridge trace show t --path /dir --message OpenAt
      what was opened in /dir
  fusebridge trace show t --errno EIO
      which requests failed with EIO
  fusebridge trace show t --slower-than 1ms --limit 20
      the first 20 messages that took longer";

/// Prints messages.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Show {
    /// The trace
    file: PathBuf,

    /// Maximum number of messages to print
    #[arg(long, value_name = "N", default_value_t = u64::MAX, hide_default_value = true)]
    limit: u64,

    /// Print JSON, one object per line
    #[arg(long)]
    json: bool,

    // Last: its heading is for all that follows.
    #[command(flatten)]
    choice: Choice,
}

impl Show {
    pub(super) fn run(&self) -> Result<ExitCode, Failure> {
        let mut reader = open(&self.file)?;
        let mut out = BufWriter::new(std::io::stdout().lock());
        let shown = (|| {
            if self.json {
                let shown = show_json(&mut reader, &self.choice.filter(), self.limit, &mut out)?;
                out.flush()?;
                return Ok(shown);
            }
            let started = reader.started().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            writeln!(out, "# started: {}", date(started))?;
            for (name, value) in reader.facts().iter() {
                writeln!(out, "# {name}: {}", value.escape_debug())?;
            }
            let shown = show(&mut reader, &self.choice.filter(), self.limit, &mut out)?;
            out.flush()?;
            Ok(shown)
        })();
        match shown {
            Ok(shown) => {
                check(shown.ending)?;
                Ok(ExitCode::SUCCESS)
            }
            // The reader of a pipe has seen enough.
            Err(ShowError::Output(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
            Err(error) => Err(error.into()),
        }
    }
}

/// A point in time after 1970 as people write it.
fn date(since_1970: Duration) -> String {
    let time = SignedDuration::try_from(since_1970).and_then(Timestamp::from_duration);
    // Further away than calendars go, a recording cannot have been made.
    time.unwrap_or_default().strftime("%Y-%m-%d %H:%M:%S%.6f UTC").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, expected) in [
            (0, "1970-01-01 00:00:00.000000 UTC"),
            (951_782_400, "2000-02-29 00:00:00.000000 UTC"),
            (1_795_309_994, "2026-11-22 01:13:14.000000 UTC"),
            (4_107_542_399, "2100-02-28 23:59:59.000000 UTC"),
            (4_107_542_400, "2100-03-01 00:00:00.000000 UTC"),
        ] {
            assert_eq!(date(Duration::from_secs(seconds)), expected);
        }
    }
}
