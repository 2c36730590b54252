//! `gofer runtime`: runsc, with this program for its gofer.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::extension::Extension;
use crate::runsc::call::{self, Choice};
use crate::runsc::shim;

/// Stands in for runsc.
#[derive(Debug, Args)]
#[command(after_help = NOTES)]
pub(super) struct Runtime {
    /// Path of the real runsc
    #[arg(long, value_name = "PATH")]
    runsc: Option<PathBuf>,
    /// Arguments for runsc
    #[arg(last = true)]
    arguments: Vec<OsString>,
}

const NOTES: &str = "The same happens when this program is run under a name that starts with runsc,
except runsc-gofer, runsc-sandbox and runsc-exec:
  ln -s $(command -v gofer) /usr/local/bin/runsc-gofer-rs
  runsc-gofer-rs run my-container

The real runsc is the first of: --runsc, the environment variable GOFER_RUNSC,
/etc/gofer/runtime.json ({\"runsc\": \"/opt/runsc\"}), and the first runsc in
PATH that is not this program.";

/// Why it does not work here.
#[derive(Debug, thiserror::Error)]
#[error("runtime: only the program gofer itself can stand in for runsc: run `gofer runtime`")]
pub(super) struct NotAlone;

impl Runtime {
    /// Becomes runsc. As a part of another program we could not: runsc would take that one for its gofer.
    pub(super) fn run(self, extensions: Vec<Box<dyn Extension>>) -> Result<ExitCode, NotAlone> {
        if std::env::args_os().nth(1).is_none_or(|command| command != call::COMMAND) {
            return Err(NotAlone);
        }
        let runsc = self.runsc.map_or(Choice::Configured, Choice::Path);
        Ok(shim::runtime(call::Runtime { runsc, arguments: self.arguments }, extensions))
    }
}
