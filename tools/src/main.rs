//! `cargo xtask`: what a person runs while developing.

mod analysis;
mod bench;
mod conform;
mod dist;
mod fuzz;
mod kills;
mod production;
mod semver;
mod setup;
mod shell;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Set-up, tests, conformance runs and benches of this workspace.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Args {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Install what the tests need and this machine lacks.
    Setup,
    /// Run all checks and tests; the last line says how many passed, failed and were skipped.
    Test(test::Options),
    /// Run all conformance suites on all backends that ship, in every mode.
    Conform(conform::Options),
    /// Fuzz the server, the client and the reader of traces. Needs the nightly compiler and cargo-fuzz.
    Fuzz(fuzz::Options),
    /// Run the tests of memory and messages under Miri, which finds undefined behaviour. Needs the nightly compiler
    /// with Miri.
    Miri,
    /// Run the loom models: windows, the locks of the tree and the client's pool, in every order of threads.
    Loom,
    /// Check the public API of lisafs and gofer for breaking changes. Needs cargo-semver-checks.
    Semver(semver::Options),
    /// Kill processes that write to a blob volume at random moments and check what is left; then make requests fail.
    KillBlob(kills::BlobOptions),
    /// Kill processes with a cache at random moments and check what is left.
    KillCache(kills::CacheOptions),
    /// Kill the server of a mount with --reconnect under load, and check that nobody notices.
    KillServers(kills::ServerOptions),
    /// Have many users work on files of one mount at once, and check that nobody finds anything else than what was
    /// written: caches, blob and encrypted volumes, host directories.
    Soak(kills::SoakOptions),
    /// Kill volume servers, gofers and sandboxes at random moments and check what is left.
    KillVolumes(kills::Options),
    /// Run the commands of gofer/docs/production.md in Docker, podman and containerd, and gofer-volumes under systemd.
    /// Needs root and Debian's archive; takes long.
    Production(production::Options),
    /// Build the programs as they are installed, with manual pages, completions and units; --deb makes packages.
    Dist(dist::Options),
    /// Measure.
    #[command(subcommand)]
    Bench(bench::Bench),
}

fn main() -> ExitCode {
    let done = match Args::parse().task {
        Task::Setup => setup::run().map(|()| true),
        Task::Test(options) => test::run(&options),
        Task::Conform(options) => conform::run(&options),
        Task::Fuzz(options) => fuzz::run(&options),
        Task::KillBlob(options) => kills::run_blob(&options),
        Task::KillCache(options) => kills::run_cache(&options),
        Task::KillServers(options) => kills::run_servers(&options),
        Task::Soak(options) => kills::run_soak(&options),
        Task::KillVolumes(options) => kills::run(&options),
        Task::Production(options) => production::run(&options),
        Task::Miri => analysis::miri(),
        Task::Loom => analysis::loom(),
        Task::Semver(options) => semver::run(&options),
        Task::Dist(options) => dist::run(&options).map(|()| true),
        Task::Bench(bench) => bench::run(&bench).map(|()| true),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
