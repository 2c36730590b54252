//! `fusebridge trace`

mod choice;
mod show;

use std::path::Path;
use std::process::ExitCode;

use clap::Subcommand;

use super::Failure;
use crate::trace::{Ending, Reader};

/// What to do with a trace.
#[derive(Debug, Subcommand)]
pub(super) enum Trace {
    /// Print messages, one line each
    Show(show::Show),
}

impl Trace {
    pub(super) fn run(&self) -> Result<ExitCode, Failure> {
        match self {
            Trace::Show(show) => show.run(),
        }
    }
}

/// Opens a trace.
fn open(path: &Path) -> Result<Reader, Failure> {
    Ok(Reader::open(path)?)
}

/// Says on stderr if the trace does not end as it should.
fn warn_of(ending: Option<Ending>) {
    if let Some(warning) = ending.and_then(Ending::warning) {
        eprintln!("fusebridge: {warning}");
    }
}
