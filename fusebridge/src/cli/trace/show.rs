//! `fusebridge trace show`

use std::io::{BufWriter, ErrorKind, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::SystemTime;

use clap::Args;

use super::choice::Choice;
use super::{Failure, open, warn_of};
use crate::trace::{ShowError, show};

const EXAMPLES: &str = "\
A line has: seconds since the start of recording, communicator (sock or chN), duration, message,
what it is about, and after the arrow what came of it. /dir[7]/file is the name file in what FD 7
stands for.

Examples:
  fusebridge trace show t --path /dir --message OpenAt   what was opened in /dir
  fusebridge trace show t --errno EIO                    what was refused with EIO
  fusebridge trace show t --slower-than 1ms --limit 20   the first 20 messages that took longer";

/// Prints messages.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Show {
    /// The trace
    file: PathBuf,

    /// Print no more messages than this
    #[arg(long, value_name = "N", default_value_t = u64::MAX, hide_default_value = true)]
    limit: u64,

    // Last: its heading is for all that follows.
    #[command(flatten)]
    choice: Choice,
}

impl Show {
    pub(super) fn run(&self) -> Result<ExitCode, Failure> {
        let mut reader = open(&self.file)?;
        let mut out = BufWriter::new(std::io::stdout().lock());
        let shown = (|| {
            let started = reader.started().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            writeln!(out, "# started: {:.6} s after 1970", started.as_secs_f64())?;
            for (name, value) in reader.facts().iter() {
                writeln!(out, "# {name}: {}", value.escape_debug())?;
            }
            let shown = show(&mut reader, &self.choice.filter(), self.limit, &mut out)?;
            out.flush()?;
            Ok(shown)
        })();
        match shown {
            Ok(shown) => {
                warn_of(shown.ending);
                Ok(ExitCode::SUCCESS)
            }
            // The reader of a pipe has seen enough.
            Err(ShowError::Output(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
            Err(error) => Err(error.into()),
        }
    }
}
