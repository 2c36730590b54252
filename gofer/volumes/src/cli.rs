//! The command line.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use gofer::extension::{Extension, Registry};

use crate::config::Config;

/// Serves volumes to sandboxes.
#[derive(Debug, Parser)]
#[command(name = "gofer-volumes", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check a configuration file
    Check {
        /// The file
        #[arg(default_value = "/etc/gofer/volumes.toml")]
        file: PathBuf,
    },
}

/// A whole volume server with `extensions` in it: parses the command line, does what it says, and returns the exit status.
pub fn main_with(extensions: Vec<Box<dyn Extension>>) -> ExitCode {
    match run(extensions) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("gofer-volumes: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(extensions: Vec<Box<dyn Extension>>) -> Result<(), gofer::extension::Error> {
    let registry = Registry::new(extensions)?;
    match Cli::parse().command {
        Command::Check { file } => {
            let config = Config::read(&file, &registry)?;
            println!("{}: {} volumes", file.display(), config.volumes.len());
        }
    }
    Ok(())
}
