//! `gofer-volumes crypt`: encrypted volumes in directories of the host.

mod features;
mod fsck;
mod info;
mod init;
mod keys;
mod passwd;
mod progress;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use gofer::extension::Error;

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Crypt {
    /// Create an encrypted directory
    Init(init::Init),
    /// Change the password of an encrypted directory
    Passwd(passwd::Passwd),
    /// Show the configuration of an encrypted directory
    Info(info::Info),
    /// Check an encrypted directory for damage
    Fsck(fsck::Fsck),
}

impl Crypt {
    /// Runs the command and returns the exit status.
    pub(crate) fn run(self) -> Result<ExitCode, Error> {
        match self {
            Crypt::Init(init) => init.run().map(|()| ExitCode::SUCCESS),
            Crypt::Passwd(passwd) => passwd.run().map(|()| ExitCode::SUCCESS),
            Crypt::Info(info) => info.run().map(|()| ExitCode::SUCCESS),
            Crypt::Fsck(fsck) => Ok(fsck.run()),
        }
    }
}

/// Which volume.
#[derive(Debug, Args)]
struct Place {
    /// The encrypted directory
    dir: PathBuf,
    /// Its configuration, if it is not in the directory
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Place {
    /// Where the configuration is.
    fn config(&self) -> PathBuf {
        self.config.clone().unwrap_or_else(|| gofer_crypt::directory::config_path(&self.dir))
    }

    fn dir(&self) -> &Path {
        &self.dir
    }

    /// What stands for it on a command line.
    fn backend(&self) -> String {
        let (dir, config) = (self.dir.display(), self.config());
        match config == gofer_crypt::directory::config_path(&self.dir) {
            true => format!("crypt:{dir}"),
            false => format!("'crypt:{dir}?config={}'", config.canonicalize().unwrap_or(config).display()),
        }
    }
}
