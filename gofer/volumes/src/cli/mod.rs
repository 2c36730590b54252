//! The command line.

mod blob;
mod cache;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use gofer::Program;
use gofer::extension::{Error, Extension, Preparation, Registry};
use gofer::log::LogArgs;

use crate::config::{Config, SOCKET};
use crate::crypt::Crypt;
use crate::{ask, serve};

/// Serve volumes to sandboxes
#[derive(Debug, Parser)]
#[command(name = "gofer-volumes", version, after_help = NOTES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const NOTES: &str = "Signals for a running server:
  SIGHUP            reload the configuration file
  SIGUSR2           start a new server that takes over; exit when the last
                    connection has ended
  SIGTERM, SIGINT   accept no more connections; exit when the last one has
                    ended, or after a limit; a second signal exits at once

gofer/docs/volumes.md describes the configuration file.";

/// The file if none is named.
const FILE: &str = "/etc/gofer/volumes.toml";

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the volumes of a configuration file
    Serve {
        /// The configuration file
        #[arg(default_value = FILE)]
        file: PathBuf,
        #[command(flatten)]
        log: LogArgs,
    },
    /// Check a configuration file
    Check {
        /// The configuration file
        #[arg(default_value = FILE)]
        file: PathBuf,
    },
    /// List the volumes of a configuration file
    List {
        /// The configuration file
        #[arg(default_value = FILE)]
        file: PathBuf,
    },
    /// Show the connections of a running server
    Status {
        /// The server's socket
        #[arg(long, value_name = "PATH", default_value = SOCKET)]
        socket: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Create and maintain encrypted directories, which crypt: and gocryptfs open
    #[command(subcommand)]
    Crypt(Crypt),
    /// Create, check, copy and clean up volumes in object stores
    #[command(subcommand)]
    Blob(blob::Blob),
    /// Look after caches, which cache: uses
    #[command(subcommand)]
    Cache(cache::Cache),
}

/// A whole volume server with `extensions` in it, beside [those that ship](crate::extensions).
pub fn main_with(extensions: Vec<Box<dyn Extension>>) -> ExitCode {
    main_of(Program::new(extensions))
}

/// A whole volume server: parses the command line, does what it says, and returns the exit status.
pub fn main_of(program: Program) -> ExitCode {
    match run(program) {
        Ok(status) => status,
        Err(error) => {
            eprintln!("gofer-volumes: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The command line of the volume server with the extensions that ship, for manuals and completions.
pub fn command() -> clap::Command {
    complete(Cli::command(), &Registry::new(crate::extensions()).expect("what ships goes together"))
}

/// `command` with the flags of all extensions.
fn complete(command: clap::Command, registry: &Registry) -> clap::Command {
    let command = command.mut_subcommand("serve", |serve| {
        gofer::cli::with_flags(serve, registry).mut_arg("log", |log| log.default_value("info"))
    });
    command
        .mut_subcommand("cache", |cache| cache.mut_subcommand("flush", |flush| gofer::cli::with_flags(flush, registry)))
}

fn run(program: Program) -> Result<ExitCode, Error> {
    let command = program.command(Cli::command());
    let registry = Registry::new(program.extensions(crate::extensions()))?;
    let matches = gofer::cli::matches(complete(command, &registry), std::env::args_os());
    match Cli::from_arg_matches(&matches)?.command {
        Command::Serve { file, log } => {
            gofer::log::init(&log)?;
            let flags = matches.subcommand().map(|(_, flags)| flags.clone()).unwrap_or_default();
            registry.prepare(&Preparation::new(&flags))?;
            serve::serve(&file, registry, &flags)?;
        }
        Command::Check { file } => {
            let config = Config::read(&file, &registry)?;
            println!("{}: {} volumes", file.display(), config.volumes.len());
        }
        Command::List { file } => {
            for (pattern, volume) in Config::read(&file, &registry)?.volumes {
                let mode = if volume.read_only { "ro" } else { "rw" };
                println!("{}\t{mode}\t{}", pattern.as_str(), volume.backend);
            }
        }
        Command::Status { socket, json } => {
            let status = ask::status(&socket)?;
            print!("{}", if json { serde_json::to_string_pretty(&status)? + "\n" } else { status.table() });
        }
        Command::Crypt(crypt) => return crypt.run(),
        Command::Cache(cache) => {
            gofer::log::init(&LogArgs::default())?;
            let flags = matches.subcommand().and_then(|(_, cache)| cache.subcommand()).map(|(_, flags)| flags.clone());
            return cache.run(&registry, &flags.unwrap_or_default());
        }
        Command::Blob(blob) => {
            // What the database reports of a store that fails is in our own errors.
            gofer::log::init(&LogArgs { log_filter: Some("error,slatedb=off".parse()?), ..LogArgs::default() })?;
            return blob.run();
        }
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use gofer::testing::wide_lines;

    #[test]
    fn help_fits_on_a_terminal() {
        assert_eq!(wide_lines(&Cli::command()), Vec::<String>::new());
    }
}
