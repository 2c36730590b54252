//! `cargo xtask conform`: the conformance suites at full length, in every mode.

use std::fmt;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use e2e::modes::{Access, Io};
use e2e::mount::{self, Mount};
use e2e::{bins, fsx, host, pjdfstest, scratch};

use crate::setup;

/// What to run, and in which modes. Without options: everything.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Suites.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Suite::value_variants().to_vec())]
    suite: Vec<Suite>,
    /// I/O modes.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Io::ALL)]
    io: Vec<Io>,
    /// Access modes.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Access::ALL)]
    access: Vec<Access>,
    /// Seeds for fsx.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 2, 3])]
    seeds: Vec<u64>,
    /// Operations for each seed of fsx.
    #[arg(long, default_value_t = 100_000)]
    ops: u64,
    /// Another backend than a fresh host directory on a tmpfs. It must be empty and writable.
    #[arg(long)]
    backend: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Suite {
    Pjdfstest,
    Fsx,
}

/// One row of the table.
struct Row {
    suite: &'static str,
    io: Io,
    access: Access,
    counts: pjdfstest::Counts,
    seconds: f64,
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pjdfstest::Counts { passed, failed, skipped } = self.counts;
        let (suite, io, access) = (self.suite, self.io.word(), self.access.word());
        write!(f, "{suite:<10} {io:<12} {access:<10} {passed:>7} {failed:>7} {skipped:>8} {:>8.1}", self.seconds)
    }
}

/// Runs the suites. The result says whether nothing failed.
pub(crate) fn run(options: &Options) -> Result<bool> {
    setup::run()?;
    if options.suite.contains(&Suite::Pjdfstest) && !host::is_root() {
        bail!("pjdfstest needs root; choose `--suite fsx`");
    }
    bins::directory()?;
    println!("suite      io           access      passed  failed  skipped  seconds");
    let mut failures = Vec::new();
    for &suite in &options.suite {
        for &io in &options.io {
            for &access in &options.access {
                let (row, mut failed) = one(options, suite, io, access)?;
                println!("{row}");
                let mode = format!("{} {} {}", row.suite, io.word(), access.word());
                failures.extend(failed.drain(..).map(|failure| format!("{mode}: {failure}")));
            }
        }
    }
    if !failures.is_empty() {
        println!("\nFailures:");
    }
    for failure in &failures {
        println!("{failure}");
    }
    Ok(failures.is_empty())
}

fn one(options: &Options, suite: Suite, io: Io, access: Access) -> Result<(Row, Vec<String>)> {
    let aside = scratch::memory()?;
    let served = scratch::open_to_all()?;
    let backend = match &options.backend {
        Some(text) => text.into(),
        None => mount::backend(served.path()),
    };
    let mut command = mount::command(io, access)?;
    command.args(["--suid", "--dev"]).arg(backend);
    let mount = Mount::start(&mut command)?;
    let start = Instant::now();
    let (name, counts, failures) = match suite {
        Suite::Pjdfstest => {
            let report = pjdfstest::run(mount.path(), aside.path())?;
            ("pjdfstest", report.counts, report.failures)
        }
        Suite::Fsx => {
            let (counts, failures) = seeds(options, mount.path(), aside.path());
            ("fsx", counts, failures)
        }
    };
    let seconds = start.elapsed().as_secs_f64();
    mount.unmount().with_context(|| format!("after {name} with --io {} --access {}", io.word(), access.word()))?;
    Ok((Row { suite: name, io, access, counts, seconds }, failures))
}

/// Runs fsx with each seed.
fn seeds(options: &Options, directory: &Path, aside: &Path) -> (pjdfstest::Counts, Vec<String>) {
    let mut counts = pjdfstest::Counts::default();
    let mut failures = Vec::new();
    for &seed in &options.seeds {
        match fsx::run(directory, aside, seed, options.ops) {
            Ok(()) => counts.passed += 1,
            Err(error) => {
                counts.failed += 1;
                failures.push(format!("{error:#}"));
            }
        }
    }
    (counts, failures)
}
