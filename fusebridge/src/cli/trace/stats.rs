//! `fusebridge trace stats`

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::choice::Choice;
use super::{Failure, check, open, print};
use crate::trace::Stats as Figures;

const EXAMPLES: &str = "\
Durations are as seen by the client. The histogram at the end of each line has
one column for each doubling of the duration.

Examples:
  fusebridge trace stats t                 everything
  fusebridge trace stats t --path /dir     only /dir and what is in it";

/// Counts messages.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Stats {
    /// The trace
    file: PathBuf,

    /// Print JSON, with times in seconds
    #[arg(long)]
    json: bool,

    // Last: its heading is for all that follows.
    #[command(flatten)]
    choice: Choice,
}

impl Stats {
    pub(super) fn run(&self) -> Result<ExitCode, Failure> {
        let stats = Figures::of(&mut open(&self.file)?, &self.choice.filter())?;
        print(&if self.json { stats.to_json() + "\n" } else { stats.to_string() })?;
        check(stats.ending())?;
        Ok(ExitCode::SUCCESS)
    }
}
