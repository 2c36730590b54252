//! `cargo xtask kill-volumes`, `kill-blob`, `kill-cache` and `kill-servers`: processes that are killed at random moments,
//! and what idle ones cost. `cargo xtask soak`: many users of one mount.

use std::process::Command;

use anyhow::Result;
use e2e::{bins, cargo};

use crate::{setup, shell};

/// How often.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Kills of each kind: of a server under a mount, and in turns of the processes of a container on Debian's runsc and
    /// on the one that RUNSC names (`RUNSC=both` is that of Debian 13)
    #[arg(default_value_t = 200)]
    kills: u32,
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

/// How often.
#[derive(Debug, clap::Args)]
pub(crate) struct CacheOptions {
    /// Kills of a process with a cache, in each access mode and way to write
    #[arg(default_value_t = 300)]
    kills: u32,
}

/// How often.
#[derive(Debug, clap::Args)]
pub(crate) struct ServerOptions {
    /// Kills of the server, in each of two modes
    #[arg(default_value_t = 300)]
    kills: u32,
}

/// How long, and of what.
#[derive(Debug, clap::Args)]
pub(crate) struct SoakOptions {
    /// Seconds for each kind of mount
    #[arg(default_value_t = 60)]
    seconds: u32,
    /// Only mounts whose description has this in it, such as `CacheHostBack` or `small`
    #[arg(long, default_value = "")]
    only: String,
}

/// Runs the tests of volumes that are killed or idle in their long form. The result says whether none has failed.
pub(crate) fn run(options: &Options) -> Result<bool> {
    // What is measured is not to wait for what is killed.
    let arguments = ["kills", "many_idle", "--test-threads=1"];
    long("volumes", &arguments, &[("VOLUME_KILLS", options.kills), ("VOLUME_IDLE", 10)])
}

/// The same of blob volumes that are killed, and whose requests fail.
pub(crate) fn run_blob(options: &BlobOptions) -> Result<bool> {
    // One after the other: the time to open a volume again is looked at.
    let arguments = ["nothing_synced_is_lost", "no_failing_request", "--test-threads=1"];
    long("blob", &arguments, &[("BLOB_KILLS", options.kills), ("BLOB_FAILURES", options.failures)])
}

/// The same of caches that are killed.
pub(crate) fn run_cache(options: &CacheOptions) -> Result<bool> {
    long("cache", &["kills"], &[("CACHE_KILLS", options.kills)])
}

/// The same of servers that are restarted under a mount.
pub(crate) fn run_servers(options: &ServerOptions) -> Result<bool> {
    long("reconnect", &["under_load"], &[("SERVER_KILLS", options.kills)])
}

/// Many users of one mount at once, for long.
pub(crate) fn run_soak(options: &SoakOptions) -> Result<bool> {
    setup::run()?;
    let mut command = tests("soak")?;
    command.env("SOAK_SECONDS", options.seconds.to_string()).env("SOAK_ONLY", &options.only);
    Ok(shell::run(&mut command)?.success())
}

/// Runs those tests of the program `tests_of` that `arguments` name, as `settings` say how often.
fn long(tests_of: &str, arguments: &[&str], settings: &[(&str, u32)]) -> Result<bool> {
    setup::run()?;
    let mut command = tests(tests_of)?;
    command.args(arguments).envs(settings.iter().map(|(name, count)| (name, count.to_string())));
    Ok(shell::run(&mut command)?.success())
}

/// Runs the program `name` of tests, whose own arguments may follow.
fn tests(name: &str) -> Result<Command> {
    let mut command = cargo::command();
    command.args(["test", "--workspace", "--test", name, "--", "--nocapture"]);
    command.env(bins::DIRECTORY, bins::directory()?);
    Ok(command)
}
