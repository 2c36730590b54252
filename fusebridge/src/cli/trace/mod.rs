//! `fusebridge trace`

mod choice;
mod replay;
mod show;
mod stats;

use std::io::{ErrorKind, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::Subcommand;

use super::Failure;
use super::extensions::Extensions;
use crate::trace::{Ending, Reader};

pub(super) const EXAMPLES: &str = "\
Examples:
  fusebridge run --io rpc --trace t mem: -- ./test
      record everything ./test does
  fusebridge trace show t --errno EIO
      which requests failed with EIO
  fusebridge trace stats t
      how long each kind of message took
  fusebridge trace replay t 'fault:mem:?error=EIO@write'
      how another backend replies";

/// What to do with a trace.
#[derive(Debug, Subcommand)]
pub(super) enum Trace {
    /// Print the messages, one line each
    Show(show::Show),
    /// Count the messages by kind, with percentiles of their durations
    Stats(stats::Stats),
    /// Send the requests to a backend, which they CHANGE, and report replies that differ
    Replay(replay::Replay),
}

impl Trace {
    pub(super) fn run(&self, extensions: &Extensions) -> Result<ExitCode, Failure> {
        match self {
            Trace::Show(show) => show.run(),
            Trace::Stats(stats) => stats.run(),
            Trace::Replay(replay) => replay.run(extensions),
        }
    }
}

/// Opens a trace.
fn open(path: &Path) -> Result<Reader, Failure> {
    Ok(Reader::open(path)?)
}

/// Writes `text` to stdout. The reader of a pipe may have seen enough.
fn print(text: &str) -> Result<(), Failure> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(super::no_stdout(&error)),
        _ => Ok(()),
    }
}

/// Says on stderr if the trace does not end as it should. It is an error if it is damaged: nobody knows what is missing.
fn check(ending: Option<Ending>) -> Result<(), Failure> {
    match (ending, ending.and_then(Ending::warning)) {
        (Some(Ending::Damaged(_)), Some(warning)) => return Err(warning.into()),
        (_, Some(warning)) => eprintln!("fusebridge: {warning}"),
        (_, None) => {}
    }
    Ok(())
}
