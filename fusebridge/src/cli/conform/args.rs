//! Options of `fusebridge conform`.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use gofer::log::LogArgs;

use crate::cli::options::time_limit;
use crate::fs::{Access, IoMode, Transport};
use crate::launch::ServerPlace;
use conform::{Settings, Suite};

const EXAMPLES: &str = "Examples:
  fusebridge conform mem:
      run all suites, print one table
  fusebridge conform --suite mount --filter xattr /srv/data
      run some tests of one suite
  fusebridge conform --all-modes --html report.html mem:
      test every mode, write an HTML report
  fusebridge conform --json now.json --baseline then.json mem:
      show what has changed since then
  fusebridge conform mem: --against native:/srv/data
      compare with a native directory

Exit status: 0 if everything is as expected, 1 if a test fails (with --baseline:
one that did not fail then), 2 if nothing could be run or a report could not be
written, 130 after Ctrl-C (no results).";

/// Mounts a backend on a temporary directory and tests whether it does what programs rely on. Existing files are left
/// alone.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Conform {
    /// Suites to run
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Word::DEFAULT)]
    pub(super) suite: Vec<Word>,

    /// Also run the classic pjdfstest of shell scripts, built in DIR; add --suite classic to run nothing else
    #[arg(long, value_name = "DIR")]
    pub(super) classic: Option<PathBuf>,

    /// Run only tests whose names contain one of these
    #[arg(long, value_name = "TEXT", value_delimiter = ',')]
    pub(super) filter: Vec<String>,

    /// List the tests of the suite "mount" with what each checks, and run nothing
    #[arg(long)]
    pub(super) list: bool,

    /// How file data is transferred; several values are tested in turn
    #[arg(long, value_enum, value_delimiter = ',', default_value = "auto", conflicts_with = "all_modes")]
    pub(super) io: Vec<IoMode>,

    /// Whether anybody else changes the files; several values are tested in turn
    #[arg(long, value_enum, value_delimiter = ',', default_value = "shared", conflicts_with = "all_modes")]
    pub(super) access: Vec<Access>,

    /// Test every combination of --io and --access that this user can mount
    #[arg(long)]
    pub(super) all_modes: bool,

    /// Number of tests to run in parallel (pjdfstest always runs serially) [default: number of cores, 1 with --html]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(super) jobs: Option<u16>,

    /// Run each suite N times; a test passes if it passes every time
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) repeat: u32,

    /// Seed for random choices
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(super) seed: u64,

    /// Timeout of each test; a run of fsx has 5 ms more per operation
    #[arg(long, value_name = "SECONDS", value_parser = time_limit, default_value = "30")]
    pub(super) timeout: Duration,

    /// Number of fsx runs
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub(super) fsx_runs: u32,

    /// Number of operations in each fsx run
    #[arg(long, value_name = "N", default_value_t = 4000)]
    pub(super) fsx_operations: u64,

    /// Compare with the results of an earlier run, written by --json
    #[arg(long, value_name = "FILE", conflicts_with = "against")]
    pub(super) baseline: Option<PathBuf>,

    /// List of tests that are expected to fail, one SUITE/TEST REASON per line
    #[arg(long, value_name = "FILE")]
    pub(super) expect: Option<PathBuf>,

    /// Run the same tests on another backend and show the differences
    #[arg(long, value_name = "BACKEND")]
    pub(super) against: Option<OsString>,

    /// Write the results as JUnit XML, to stdout if FILE is -, as with the next three
    #[arg(long, value_name = "FILE")]
    pub(super) junit: Option<PathBuf>,

    /// Write the results as TAP
    #[arg(long, value_name = "FILE")]
    pub(super) tap: Option<PathBuf>,

    /// Write the results as JSON, for --baseline
    #[arg(long, value_name = "FILE")]
    pub(super) json: Option<PathBuf>,

    /// Write the results as an HTML page, with the messages to and from the server for each failure
    #[arg(long, value_name = "FILE")]
    pub(super) html: Option<PathBuf>,

    /// Record every message to and from the server in FILE, for `fusebridge trace`; one file per mode if there are
    /// several; those of --against go to FILE.against
    #[arg(long, value_name = "FILE")]
    pub(super) trace: Option<PathBuf>,

    /// How requests come from the kernel
    #[arg(long, value_enum, default_value_t)]
    pub(super) transport: Transport,

    /// Where the server of a directory or an extension's file system runs
    #[arg(long, value_enum, value_name = "PLACE", default_value_t)]
    pub(super) server: ServerPlace,

    /// Install the programs that the suites need, with cargo, in ~/.cache/fusebridge/tools
    #[arg(long)]
    pub(super) install: bool,

    /// A directory, NAME:ARGUMENT, unix:SOCKET, exec:COMMAND, or native:DIR for a directory that is not mounted
    #[arg(default_value = crate::cli::DEFAULT_BACKEND)]
    pub(super) backend: OsString,

    // Last: its heading is for all that follows.
    #[command(flatten)]
    pub(super) log: LogArgs,
}

/// A suite on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Word {
    /// Our own tests: links, listings, memory mappings, holes, locks, names, ...
    Mount,
    /// POSIX system calls
    Pjdfstest,
    /// Random reads, writes, mappings and truncations
    Fsx,
    /// The older pjdfstest of shell scripts, in the directory given by --classic
    Classic,
}

impl Word {
    /// What needs no directory.
    const DEFAULT: [Word; 3] = [Word::Mount, Word::Pjdfstest, Word::Fsx];
}

impl Conform {
    /// What is tested; nothing if the tests are only listed.
    pub(in crate::cli) fn backends(&self) -> Vec<&OsStr> {
        let all = std::iter::once(&self.backend).chain(&self.against).map(OsString::as_os_str);
        if self.list { Vec::new() } else { all.collect() }
    }

    /// The suites, quick ones first.
    pub(super) fn suites(&self) -> Vec<Suite> {
        let mut suites: Vec<Suite> = Word::value_variants()
            .iter()
            .filter(|word| self.suite.contains(word))
            .filter_map(|word| match word {
                Word::Mount => Some(Suite::Mount),
                Word::Pjdfstest => Some(Suite::Pjdfstest),
                Word::Fsx => Some(Suite::Fsx),
                Word::Classic => None,
            })
            .collect();
        // Its scripts are run elsewhere.
        let classic = self.classic.as_ref().map(|path| path.canonicalize().unwrap_or_else(|_| path.clone()));
        suites.extend(classic.map(Suite::Classic));
        suites
    }

    /// The suites that this user can run, and those that only root can. If there are no others, these are to say so.
    pub(super) fn possible_suites(&self) -> (Vec<Suite>, Vec<Suite>) {
        let is_root = nix::unistd::geteuid().is_root();
        let (mine, roots): (Vec<_>, Vec<_>) =
            self.suites().into_iter().partition(|suite| is_root || !suite.needs_root());
        if mine.is_empty() { (roots, mine) } else { (mine, roots) }
    }

    /// How the suites are to be run.
    pub(super) fn settings(&self) -> Settings {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        // Else the messages of several tests would be mixed.
        let jobs = if self.html.is_some() { 1 } else { cores };
        Settings {
            filter: self.filter.clone(),
            jobs: self.jobs.map_or(jobs, usize::from),
            repeat: self.repeat,
            seed: self.seed,
            timeout: self.timeout,
            fsx_runs: self.fsx_runs,
            fsx_operations: self.fsx_operations,
        }
    }

    /// The ways to mount.
    pub(super) fn modes(&self) -> Vec<(IoMode, Access)> {
        let (ios, accesses) = match self.all_modes {
            true => (io_modes(), vec![Access::Exclusive, Access::Shared]),
            false => (self.io.clone(), self.access.clone()),
        };
        ios.iter().flat_map(|io| accesses.iter().map(|access| (*io, *access))).collect()
    }
}

/// The ways of file data that this user can have.
fn io_modes() -> Vec<IoMode> {
    let is_root = nix::unistd::geteuid().is_root();
    IoMode::value_variants().iter().copied().filter(|io| is_root || *io != IoMode::Passthrough).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_expected_failures_know_all_modes() {
        fn words<T: ValueEnum>() -> Vec<String> {
            T::value_variants().iter().map(|value| value.to_possible_value().unwrap().get_name().to_owned()).collect()
        }
        assert_eq!(words::<IoMode>(), conform::expect::IO);
        assert_eq!(words::<Access>(), conform::expect::ACCESS);
    }
}
