//! `cargo xtask test`: all checks and tests, with one summary line at the end.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use e2e::bins;

use crate::summary::Summary;
use crate::{setup, shell};

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
    setup::run()?;
    let mut summary = Summary::default();
    let mut broken = Vec::new();
    if !options.quick {
        for mut check in checks() {
            if !shell::run(&mut check)?.success() {
                broken.push(shell::line(&check));
            }
        }
    }
    match if options.release { bins::build_release() } else { bins::build() } {
        Ok(directory) => {
            let mut tests = shell::cargo();
            tests.args(["test", "--workspace", "--no-fail-fast"]).args(&options.rest).env(bins::DIRECTORY, directory);
            // Errors of tests say what went wrong; where in the test harness they were made helps nobody.
            tests.env("RUST_LIB_BACKTRACE", "0");
            // Tested with the workspace, the gofer has what tests need, and what is installed has not.
            let mut installed = shell::cargo();
            installed.args(["test", "--package", "gofer", "--test", "installed"]);
            let installed = options.rest.is_empty().then_some(installed);
            for mut tests in std::iter::once(tests).chain(installed) {
                let failed = summary.failed;
                let well = watch(&mut tests, &mut summary)?;
                // A test program that does not compile, or dies, has no result line.
                if !well && summary.failed == failed {
                    broken.push(shell::line(&tests));
                }
            }
        }
        Err(error) => {
            eprintln!("xtask: {error:#}");
            broken.push("the programs do not build".to_owned());
        }
    }
    for check in &broken {
        println!("FAILED: {check}");
        summary.failed += 1;
    }
    println!("{summary}");
    Ok(summary.failed == 0)
}

fn checks() -> Vec<Command> {
    let cargo = |words: &str| {
        let mut cargo = shell::cargo();
        cargo.args(words.split(' '));
        cargo
    };
    let mut doc = cargo("doc --quiet --no-deps --workspace");
    doc.env("RUSTDOCFLAGS", "-Dwarnings");
    vec![cargo("fmt --all --check"), cargo("clippy --quiet --workspace --all-targets -- -D warnings"), doc]
}

/// Runs the tests, passing on and adding up what they print.
fn watch(command: &mut Command, summary: &mut Summary) -> Result<bool> {
    eprintln!("+ {}", shell::line(command));
    let mut child = command.stdout(Stdio::piped()).spawn().context("cannot start the tests")?;
    let output = child.stdout.take().context("no pipe")?;
    for line in BufReader::new(output).split(b'\n') {
        let line = line.context("cannot read what the tests print")?;
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        summary.line(&line);
    }
    Ok(child.wait()?.success())
}
