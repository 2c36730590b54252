//! The command line.

mod daemon;
mod mnt;
mod options;
mod run;
mod signals;
mod up;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::mountpoint::{Unmounted, unmount};

/// Mounts any LisaFS backend on the host.
#[derive(Debug, Parser)]
#[command(name = "fusebridge", version, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "Examples:
  fusebridge mnt .                            mount the current directory, say where, unmount on Ctrl-C
  fusebridge mnt --daemon /srv/data /mnt      mount /srv/data on /mnt and return
  fusebridge run /srv/data -- ls -l           run a command on the mount
  fusebridge umount /mnt                      unmount, whatever state the mount is in

BACKEND is a directory (DIR or host:DIR), a server's socket (unix:SOCKET), or a command that serves the
connection on its descriptor 3 (exec:COMMAND).";

#[derive(Debug, Subcommand)]
enum Command {
    /// Mount a backend
    Mnt(mnt::Mnt),
    /// Mount a backend on a temporary directory and run a command there
    Run(run::Run),
    /// Unmount, even if the mount is busy or its process has died
    Umount {
        /// Where it is mounted
        mountpoint: PathBuf,
    },
    /// Serve a directory; what `mnt` starts for host:DIR
    #[command(hide = true, disable_help_flag = true)]
    Gofer {
        /// The gofer's own arguments
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
}

/// Runs the program and answers its exit status.
pub fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Mnt(mnt) => mnt.run(),
        Command::Run(run) => run.run(),
        Command::Umount { mountpoint } => umount(&mountpoint),
        Command::Gofer { arguments } => {
            return gofer::cli::main(std::iter::once(OsString::from("gofer")).chain(arguments));
        }
    };
    match result {
        Ok(status) => status,
        Err(error) => {
            eprintln!("fusebridge: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Anything that keeps a command from doing its work, as one line.
type Failure = Box<dyn std::error::Error + Send + Sync>;

fn umount(mountpoint: &std::path::Path) -> Result<ExitCode, Failure> {
    if unmount(mountpoint)? == Unmounted::Detached {
        eprintln!("fusebridge: {} is still in use; it is gone for everybody else", mountpoint.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// Reports what happens on stderr, as much as `level` says.
fn init_log(level: &str) -> Result<(), Failure> {
    let filter = tracing_subscriber::EnvFilter::try_new(level).map_err(|error| format!("--log {level}: {error}"))?;
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).try_init()
}
