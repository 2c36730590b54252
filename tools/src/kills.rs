//! `cargo xtask kill-volumes`: volume servers, gofers and sandboxes that are killed at random moments.

use std::process::Command;

use anyhow::Result;
use e2e::bins;

use crate::{setup, shell};

/// How often.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Kills of each kind: of a server under a mount, and in turns of the processes of a container
    #[arg(default_value_t = 200)]
    kills: u32,
}

/// Runs the tests of kills in their long form. The result says whether none has failed.
pub(crate) fn run(options: &Options) -> Result<bool> {
    setup::run()?;
    let mut tests = Command::new(env!("CARGO"));
    tests.current_dir(bins::workspace()).args(["test", "-p", "e2e", "--test", "volumes", "--", "kills", "--nocapture"]);
    tests.env("VOLUME_KILLS", options.kills.to_string()).env(bins::DIRECTORY, bins::directory()?);
    Ok(shell::run(&mut tests)?.success())
}
