//! The command line.

mod accounts;
mod auto_unmount;
mod conform;
mod connection;
mod daemon;
mod doctor;
mod extensions;
mod mnt;
mod mount_helper;
mod mounted;
mod options;
mod owners;
mod run;
mod signals;
mod trace;
mod up;

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use gofer::Program;
use gofer::cli::with_flags;
use gofer::extension::{Extension, Registry};

use connection::ConnectionError;
use extensions::Extensions;

use ::conform::stderr::say;
use ::conform::worker;

/// Mount any LisaFS backend on the host
#[derive(Debug, Parser)]
#[command(name = "fusebridge", version, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "Examples:
  fusebridge mnt .
      mount the current directory, print where; Ctrl-C unmounts
  fusebridge mnt --daemon /srv/data /mnt
      mount /srv/data on /mnt and return
  fusebridge run /srv/data -- ls -l
      run a command in the mount
  fusebridge umount /mnt
      unmount, whatever state the mount is in
  fusebridge conform mem:
      run the conformance suites on a backend
  fusebridge run --trace t /srv -- ls -l
      record all messages to and from the server ...
  fusebridge trace show t
      ... and print them

BACKEND is a directory (DIR or host:DIR), files in memory (mem:size=1g), another
extension's file system (NAME:ARGUMENT), a server's socket (unix:SOCKET), or a
command that serves the connection on its descriptor 3 (exec:COMMAND).";

const UMOUNT_EXAMPLES: &str = "Examples:
  fusebridge umount /mnt    works for ordinary users too, if the mount is theirs";

#[derive(Debug, Subcommand)]
enum Command {
    /// Mount a backend
    Mnt(mnt::Mnt),
    /// Mount a backend on a temporary directory and run a command in it
    Run(run::Run),
    /// Mount a backend on a temporary directory and run conformance tests on it
    Conform(Box<conform::Conform>),
    /// Unmount, even if the mount is busy or its process has died
    #[command(after_help = UMOUNT_EXAMPLES)]
    Umount {
        /// The mountpoint
        mountpoint: PathBuf,
    },
    /// Print the statistics of a running mount: its requests to the server since it was mounted
    Stats {
        /// The mountpoint
        mountpoint: PathBuf,
        /// Print them in Prometheus' text format
        #[arg(long)]
        prometheus: bool,
    },
    /// Check whether file systems can be mounted on this machine and what is missing
    Doctor(doctor::Doctor),
    /// Print, count or replay the messages that --trace has recorded
    #[command(subcommand, after_help = trace::EXAMPLES)]
    Trace(trace::Trace),
}

/// The exit status of commands for which 1 is a result.
const TROUBLE: u8 = 2;

impl Command {
    /// The backends that servers are started for.
    fn backends(&self) -> Vec<&OsStr> {
        match self {
            Command::Mnt(mnt) => vec![mnt.backend()],
            Command::Run(run) => vec![run.backend()],
            Command::Conform(conform) => conform.backends(),
            Command::Trace(trace::Trace::Replay(replay)) => vec![replay.backend()],
            Command::Umount { .. } | Command::Stats { .. } | Command::Doctor(_) | Command::Trace(_) => Vec::new(),
        }
    }
}

/// The default backend.
const DEFAULT_BACKEND: &str = "mem:";

/// The command that serves a mount's file system, in a process of its own.
pub(crate) const GOFER: &str = "gofer";

/// A whole fusebridge with `extensions` in it, beside [those that ship](crate::extensions): [`main_of`] a [`Program`] that
/// has no more to say.
pub fn main_with(extensions: Vec<Box<dyn Extension>>) -> ExitCode {
    main_of(Program::new(extensions))
}

/// A whole fusebridge: parses the command line, does what it says, and returns the exit status. Under a name that begins
/// with `mount.`, what mount(8) runs.
pub fn main_of(program: Program) -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    match arguments.get(1) {
        // The gofer that this program is when it is started for a mount has a command line of its own.
        Some(command) if command == GOFER => {
            // Not "exe". Without a name it works as well.
            let _ = rustix::thread::set_name(c"gofer");
            return gofer::cli::main(program.extensions(crate::extensions()), arguments.into_iter().skip(1));
        }
        Some(command) if command == worker::COMMAND => return worker::main(),
        Some(command) if command == auto_unmount::COMMAND => return auto_unmount::main(&arguments[2..]),
        _ => {}
    }
    let is_helper = arguments.first().is_some_and(|program| mount_helper::is_called(program));
    let status = run_command(program, arguments).unwrap_or_else(|error| {
        report_error(&error);
        ExitCode::FAILURE
    });
    if is_helper && status == ExitCode::FAILURE { ExitCode::from(mount_helper::FAILURE) } else { status }
}

/// Says what went wrong, unless the server has done so.
fn report_error(error: &Failure) {
    let is_reported = match error.downcast_ref() {
        Some(up::UpError::Connection(error)) => error.is_reported(),
        _ => error.downcast_ref().is_some_and(ConnectionError::is_reported),
    };
    if !is_reported {
        notice(error);
    }
}

/// Tells people something that they must know, on stderr and in the log if that is elsewhere.
fn notice(text: impl std::fmt::Display) {
    if gofer::log::is_elsewhere() {
        tracing::error!("{text}");
    }
    say(format_args!("fusebridge: {text}"));
}

/// The command line of fusebridge with the extensions that ship, for manuals and completions.
pub fn command() -> clap::Command {
    complete(Cli::command(), &Registry::new(crate::extensions()).expect("what ships goes together"))
}

/// `command` with the flags of all extensions.
fn complete(command: clap::Command, registry: &Registry) -> clap::Command {
    command
        .mut_subcommand("mnt", |mnt| with_flags(mnt, registry))
        .mut_subcommand("run", |run| with_flags(run, registry))
        .mut_subcommand("conform", |conform| with_flags(conform, registry))
        .mut_subcommand("trace", |trace| trace.mut_subcommand("replay", |replay| with_flags(replay, registry)))
}

fn run_command(program: Program, mut arguments: Vec<OsString>) -> Result<ExitCode, Failure> {
    let command = program.command(Cli::command());
    let registry = Arc::new(Registry::new(program.extensions(crate::extensions()))?);
    let command = complete(command, &registry);
    if arguments.first().is_some_and(|program| mount_helper::is_called(program)) {
        match mount_helper::line(&arguments[1..], &command) {
            Ok(Some(line)) => arguments = line,
            Ok(None) => return Ok(ExitCode::SUCCESS),
            Err(problem) => {
                say(format_args!("fusebridge: {problem}"));
                return Ok(ExitCode::from(mount_helper::USAGE));
            }
        }
    }
    let matches = gofer::cli::matches(command, arguments.iter().cloned());
    let cli = Cli::from_arg_matches(&matches)?;
    // The command's own, or those of the command below it.
    let given = matches.subcommand().map(|(_, given)| given.subcommand().map_or(given, |(_, given)| given));
    let extensions = match given.map(|given| Extensions::new(&registry, given, &cli.command.backends())) {
        Some(Err(error)) if matches!(cli.command, Command::Conform(_) | Command::Trace(_)) => {
            report_error(&error);
            return Ok(ExitCode::from(TROUBLE));
        }
        extensions => extensions.transpose()?.unwrap_or_default(),
    };
    let status = match cli.command {
        Command::Mnt(mnt) => mnt.run(&extensions, &arguments[1..]),
        Command::Run(run) => run.run(&extensions),
        Command::Conform(conform) => Ok(conform.run(&extensions)),
        Command::Umount { mountpoint } => mounted::umount(&mountpoint),
        Command::Stats { mountpoint, prometheus } => mounted::stats(&mountpoint, prometheus),
        Command::Doctor(doctor) => doctor.run(),
        Command::Trace(trace) => trace.run(&extensions),
    };
    extensions.here.end();
    status
}

/// Why nobody was told what was asked for.
fn no_stdout(error: &std::io::Error) -> Failure {
    format!("cannot write to stdout: {error}").into()
}

/// Anything that keeps a command from doing its work, as one line.
type Failure = Box<dyn std::error::Error + Send + Sync>;

#[cfg(test)]
mod tests {
    use super::*;
    use gofer::testing::wide_lines;

    #[test]
    fn help_fits_on_a_terminal() {
        assert_eq!(wide_lines(&Cli::command()), Vec::<String>::new());
    }
}
