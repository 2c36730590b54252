//! The command line.

mod doctor;
mod runtime;
mod serve;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::Program;
use crate::extension::{Error, Extension, Preparation, Registry};
use crate::extensions::shipped;
use crate::runsc::call::{Call, classify, dynamic};
use crate::runsc::{self, shim};

/// Serve files over LisaFS
#[derive(Debug, Parser)]
#[command(name = "gofer", version, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "Examples:
  gofer serve --socket /run/data.sock /srv/data
      serve /srv/data to whoever connects ...
  fusebridge mnt unix:/run/data.sock /mnt
      ... and mount it
  gofer runtime -- run my-container
      run a container with runsc, on this gofer
  gofer doctor
      check whether containers can run here";

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve a directory or another backend
    Serve(serve::Serve),
    /// Run runsc with this program as its gofer
    Runtime(runtime::Runtime),
    /// Check whether containers can run on this machine and what is missing
    Doctor(doctor::Doctor),
}

/// A whole gofer with `extensions` in it, which are asked in this order, and then those that ship: [`main_of`] a
/// [`Program`] that has no more to say.
pub fn main_with(extensions: Vec<Box<dyn Extension>>) -> ExitCode {
    main_of(Program::new(extensions))
}

/// A whole gofer: parses the command line, does what it says, and returns the exit status. Also what runsc starts in
/// place of its own gofer, and, under another name, runsc.
pub fn main_of(program: Program) -> ExitCode {
    // Whatever is not needed for it makes a container start later.
    match classify(std::env::args_os().collect()) {
        Call::Gofer(arguments) => runsc::main(program.extensions(shipped()), arguments),
        Call::DynamicGofer(arguments) => match dynamic(&arguments) {
            Ok(line) => own(program, line),
            Err(problem) => {
                eprintln!("gofer: {problem}");
                ExitCode::from(128)
            }
        },
        Call::Helper(arguments) => shim::helper(arguments),
        Call::Runtime(call) => shim::runtime(call, program.extensions(shipped())),
        Call::Own(arguments) => own(program, arguments),
    }
}

/// One of our own commands.
fn own(program: Program, arguments: Vec<OsString>) -> ExitCode {
    let command = program.command(Cli::command());
    end(run(command, program.extensions(shipped()), arguments))
}

/// The command line of the gofer with the extensions that ship, for manuals and completions.
pub fn command() -> clap::Command {
    complete(Cli::command(), &Registry::new(shipped()).expect("what ships goes together"))
}

/// `command` with the flags of all extensions.
fn complete(command: clap::Command, registry: &Registry) -> clap::Command {
    command.mut_subcommand("serve", |serve| with_flags(serve, registry))
}

/// The commands of [`main_of`] as a part of another program, with `extensions` only. The first argument is the program's
/// name.
pub fn main(extensions: Vec<Box<dyn Extension>>, arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    end(run(Cli::command(), extensions, arguments))
}

/// Says what went wrong, if anything did.
fn end(done: Result<ExitCode, Error>) -> ExitCode {
    done.unwrap_or_else(|error| {
        eprintln!("gofer: {error}");
        ExitCode::FAILURE
    })
}

fn run(
    command: clap::Command,
    extensions: Vec<Box<dyn Extension>>,
    arguments: impl IntoIterator<Item = OsString>,
) -> Result<ExitCode, Error> {
    let registry = Registry::new(extensions)?;
    let matches = self::matches(complete(command, &registry), arguments);
    let cli = Cli::from_arg_matches(&matches)?;
    match (cli.command, matches.subcommand()) {
        (Command::Serve(serve), Some((_, flags))) => {
            serve.run(&registry, flags)?;
            registry.end();
        }
        (Command::Runtime(runtime), _) => return Ok(runtime.run(registry.into_extensions())?),
        (Command::Doctor(doctor), _) => return Ok(doctor.run()?),
        (Command::Serve(_), None) => unreachable!("a command was found"),
    }
    Ok(ExitCode::SUCCESS)
}

/// What `arguments` say to `command`. Mistakes are told and end the process, as does the help that was asked for: with
/// success, unless it cannot be written.
pub fn matches(command: clap::Command, arguments: impl IntoIterator<Item = OsString>) -> clap::ArgMatches {
    let name = command.get_name().to_owned();
    command.try_get_matches_from(arguments).unwrap_or_else(|error| {
        if error.use_stderr() {
            error.exit();
        }
        let written = error.print().and_then(|()| std::io::Write::flush(&mut std::io::stdout()));
        let Err(why) = written else { std::process::exit(0) };
        eprintln!("{name}: cannot write to stdout: {why}");
        std::process::exit(1);
    })
}

/// `command` with the flags of all extensions.
pub fn with_flags(command: clap::Command, registry: &Registry) -> clap::Command {
    command.next_help_heading("Options of backends").args(registry.iter().flat_map(Extension::flags))
}

/// Lets all extensions prepare themselves.
fn prepare(registry: &Registry, flags: &ArgMatches) -> Result<(), Error> {
    registry.prepare(&Preparation::new(flags))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::wide_lines;

    #[test]
    fn help_fits_on_a_terminal() {
        assert_eq!(wide_lines(&Cli::command()), Vec::<String>::new());
    }
}
