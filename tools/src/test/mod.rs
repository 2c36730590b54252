//! `cargo xtask test`: all checks and tests, with one summary line at the end.

mod checks;
mod programs;
mod summary;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::thread;

use anyhow::{Context, Result, bail};
use e2e::{bins, cargo};

use crate::{setup, shell};
use summary::Summary;

/// What to run.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Only the tests, not the checks of format, lints and documentation.
    #[arg(long)]
    quick: bool,
    /// Test programs that the compiler has optimised. It takes some minutes more to build them.
    #[arg(long)]
    release: bool,
    /// Given to `cargo test`, for example a part of a test's name.
    #[arg(last = true)]
    rest: Vec<String>,
}

/// Runs everything. The result says whether all of it was well.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let mut outcome = Outcome::default();
    let checks = if options.quick { Vec::new() } else { checks::all() };
    if options.rest.is_empty() {
        all(options, checks, &mut outcome)?;
    } else {
        setup::run()?;
        some(options, checks, &mut outcome)?;
    }
    if !outcome.summary.reports.is_empty() {
        print!("\nWhat failed, once more:\n{}", outcome.summary.reports);
    }
    for check in &outcome.broken {
        println!("FAILED: {check}");
        outcome.summary.failed += 1;
    }
    println!("{}", outcome.summary);
    Ok(outcome.summary.failed == 0)
}

/// What has come of all so far.
#[derive(Default)]
struct Outcome {
    summary: Summary,
    /// What failed and is not a test.
    broken: Vec<String>,
}

impl Outcome {
    /// What has been built, if it has.
    fn built<T>(&mut self, what: &str, result: Result<T>) -> Option<T> {
        let error = match result {
            Ok(built) => return Some(built),
            Err(error) => error,
        };
        eprintln!("xtask: {error:#}");
        self.broken.push(format!("{what} do not build"));
        None
    }

    /// Takes the end of `tests` into account, before which so many had failed: a test program that does not compile, or
    /// dies, has no result line.
    fn ended(&mut self, tests: &Command, status: ExitStatus, failed: u64) {
        if !status.success() && self.summary.failed == failed {
            self.broken.push(shell::line(tests));
        }
    }
}

/// All tests, and the checks meanwhile: the processor has time for them while tests wait.
fn all(options: &Options, checks: Vec<Command>, outcome: &mut Outcome) -> Result<()> {
    setup::check()?;
    // What is missing comes over the network, and is unpacked by programs that use one processor.
    let (built, set_up) = thread::scope(|scope| {
        let setup = scope.spawn(setup::run);
        (bins::build_with_tests(), setup.join().unwrap_or_else(|_| bail!("the set-up has panicked")))
    });
    set_up?;
    let Some((mut binaries, programs)) = outcome.built("the tests", built) else {
        return checks::one_by_one(checks, &mut outcome.broken);
    };
    if options.release {
        let Some(optimised) = outcome.built("the programs", bins::build_release()) else { return Ok(()) };
        binaries = optimised;
    }
    let mut documented = test("--workspace --doc --no-fail-fast", &binaries);
    let (dead, checked) = thread::scope(|scope| {
        let checks = scope.spawn(|| Ok((checks::aside(checks)?, checks::at_leisure(&mut documented)?)));
        let dead = programs::run(programs, &binaries, &mut outcome.summary);
        (dead, checks.join().unwrap_or_else(|_| bail!("the checks have panicked")))
    });
    outcome.broken.extend(dead?);
    let (broken, examples) = checked?;
    outcome.broken.extend(broken);
    let failed = outcome.summary.failed;
    String::from_utf8_lossy(&examples.stdout).lines().for_each(|line| outcome.summary.line(line));
    outcome.ended(&documented, examples.status, failed);
    watch(&mut test(INSTALLED, &binaries), outcome)
}

/// Tested with the workspace, the gofer has what tests need, and what is installed has not.
const INSTALLED: &str = "--package gofer --test installed";

/// What the user has asked `cargo test` for.
fn some(options: &Options, checks: Vec<Command>, outcome: &mut Outcome) -> Result<()> {
    checks::one_by_one(checks, &mut outcome.broken)?;
    let built = if options.release { bins::build_release() } else { bins::build() };
    let Some(binaries) = outcome.built("the programs", built) else { return Ok(()) };
    watch(test("--workspace --no-fail-fast", &binaries).args(&options.rest), outcome)
}

fn test(words: &str, binaries: &Path) -> Command {
    let mut cargo = cargo::command();
    cargo.arg("test").args(words.split(' '));
    with_environment(&mut cargo, binaries);
    cargo
}

/// What all tests are told.
fn with_environment(tests: &mut Command, binaries: &Path) {
    tests.env(bins::DIRECTORY, binaries);
    // Errors of tests say what went wrong; where in the test harness they were made helps nobody.
    tests.env("RUST_LIB_BACKTRACE", "0");
}

/// Runs the tests, passing on and adding up what they print.
fn watch(command: &mut Command, outcome: &mut Outcome) -> Result<()> {
    let failed = outcome.summary.failed;
    eprintln!("+ {}", shell::line(command));
    let mut child = command.stdout(Stdio::piped()).spawn().context("cannot start the tests")?;
    let output = child.stdout.take().context("no pipe")?;
    for line in BufReader::new(output).split(b'\n') {
        let line = line.context("cannot read what the tests print")?;
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        outcome.summary.line(&line);
    }
    let status = child.wait()?;
    outcome.ended(command, status, failed);
    Ok(())
}
