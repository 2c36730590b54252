//! `gofer doctor`: whether containers can run on this machine.

use std::cell::OnceCell;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use crate::doctor;

/// Examines this machine.
#[derive(Debug, Args)]
#[command(after_help = NOTES)]
pub(super) struct Doctor {
    /// Path of the real runsc
    #[arg(long, value_name = "PATH")]
    runsc: Option<PathBuf>,
    /// Timeout of each step, which may be a whole container
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    time_limit: u64,
    /// Print JSON, one object for each check
    #[arg(long)]
    json: bool,
}

const NOTES: &str = "Prints one line for each check:
  ok       works
  note     for your information
  warning  does not work, but most containers do not need it
  missing  containers cannot run without it; the exit status is 1

It runs containers of its own on every platform that works here, and leaves
nothing behind. Run it as an ordinary user to check whether containers can run
without root.";

/// Why nothing was examined.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("doctor: only the program gofer itself can check this: run `gofer doctor`")]
    NotAlone,
    #[error("doctor: cannot write to stdout: {0}")]
    Unsaid(io::Error),
    #[error("doctor: {0}")]
    Io(#[from] io::Error),
}

/// Tells people at a terminal what takes so long.
fn progress(what: &str) {
    if io::stderr().is_terminal() {
        _ = writeln!(io::stderr(), "waiting  {what} ..");
    }
}

impl Doctor {
    /// Examines this machine, and returns whether containers can run.
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        if std::env::args_os().nth(1).is_none_or(|command| command != "doctor") {
            return Err(Failure::NotAlone);
        }
        // A reader who has gone does not matter: the exit status says it all.
        let unsaid = OnceCell::new();
        let report = |finding: &doctor::Finding| {
            let line = if self.json { finding.to_json() } else { finding.to_string() };
            if let Err(error) = writeln!(io::stdout(), "{line}")
                && error.kind() != io::ErrorKind::BrokenPipe
            {
                _ = unsaid.set(error);
            }
        };
        let can_run = doctor::examine(self.runsc, Duration::from_secs(self.time_limit), progress, report)?;
        if let Some(error) = unsaid.into_inner() {
            return Err(Failure::Unsaid(error));
        }
        Ok(if can_run { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
