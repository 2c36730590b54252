//! `cargo xtask kill-volumes`, `kill-blob` and `kill-cache`: processes that are killed at random moments, and what idle
//! ones cost.

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
    tests.current_dir(bins::workspace()).args([
        "test",
        "--workspace",
        "--test",
        "volumes",
        "--",
        "kills",
        "many_idle",
        "--nocapture",
        // What is measured is not to wait for what is killed.
        "--test-threads=1",
    ]);
    tests
        .env("VOLUME_KILLS", options.kills.to_string())
        .env("VOLUME_IDLE", "10")
        .env(bins::DIRECTORY, bins::directory()?);
    Ok(shell::run(&mut tests)?.success())
}

/// How often.
#[derive(Debug, clap::Args)]
pub(crate) struct BlobOptions {
    /// Kills of a process that writes
    #[arg(default_value_t = 300)]
    kills: u32,
    /// Requests to a store that fail
    #[arg(long, default_value_t = 1000)]
    failures: u32,
}

/// Runs the tests of blob volumes that are killed, and whose requests fail, in their long form. The result says whether
/// none has failed.
pub(crate) fn run_blob(options: &BlobOptions) -> Result<bool> {
    setup::run()?;
    let mut tests = Command::new(env!("CARGO"));
    tests.current_dir(bins::workspace()).args(["test", "--workspace", "--test", "blob", "--", "--nocapture"]);
    // One after the other: the time to open a volume again is looked at.
    tests.args(["nothing_synced_is_lost", "no_failing_request", "--test-threads=1"]);
    tests.env("BLOB_KILLS", options.kills.to_string()).env("BLOB_FAILURES", options.failures.to_string());
    Ok(shell::run(tests.env(bins::DIRECTORY, bins::directory()?))?.success())
}

/// How often.
#[derive(Debug, clap::Args)]
pub(crate) struct CacheOptions {
    /// Kills of a process with a cache, in each access mode
    #[arg(default_value_t = 300)]
    kills: u32,
}

/// Runs the test of caches that are killed in its long form. The result says whether it has not failed.
pub(crate) fn run_cache(options: &CacheOptions) -> Result<bool> {
    setup::run()?;
    let mut tests = Command::new(env!("CARGO"));
    tests.current_dir(bins::workspace()).args(["test", "--workspace", "--test", "cache", "--", "kills", "--nocapture"]);
    tests.env("CACHE_KILLS", options.kills.to_string()).env(bins::DIRECTORY, bins::directory()?);
    Ok(shell::run(&mut tests)?.success())
}
