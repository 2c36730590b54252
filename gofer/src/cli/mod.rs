//! The command line.

mod limits;
mod listener;
mod serve;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Serves files over LisaFS.
#[derive(Debug, Parser)]
#[command(name = "gofer", version, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "Examples:
  gofer serve --socket /run/data.sock /srv/data    serve /srv/data to whoever connects
  fusebridge mnt unix:/run/data.sock /mnt          .. and mount it";

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve a host directory
    Serve(serve::Serve),
}

/// Runs the program and answers its exit status.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let result = match Cli::parse_from(arguments).command {
        Command::Serve(serve) => serve.run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("gofer: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Reports what happens on stderr, as much as `level` says.
fn init_log(level: &str) -> Result<(), serve::Failure> {
    let filter = tracing_subscriber::EnvFilter::try_new(level)
        .map_err(|source| serve::Failure::Log { level: level.to_owned(), source })?;
    // Fails only if somebody else has set one up, which then reports.
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).try_init();
    Ok(())
}
