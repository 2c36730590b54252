//! The checks of format, lints and documentation.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result};
use e2e::cargo;
use rustix::process::{Pid, setpriority_process};

use crate::shell;

/// Less than tests have: some of them wait for something for only so long.
const PRIORITY: i32 = 10;

pub(super) fn all() -> Vec<Command> {
    let cargo = |words: &str| {
        let mut cargo = cargo::command();
        cargo.args(words.split(' '));
        cargo
    };
    let mut doc = cargo("doc --quiet --no-deps --workspace");
    doc.env("RUSTDOCFLAGS", "-Dwarnings");
    vec![cargo("fmt --all --check"), cargo("clippy --quiet --workspace --all-targets -- -D warnings"), doc]
}

/// Runs them, adding to `broken` what fails.
pub(super) fn one_by_one(checks: Vec<Command>, broken: &mut Vec<String>) -> Result<()> {
    for mut check in checks {
        if !shell::run(&mut check)?.success() {
            broken.push(shell::line(&check));
        }
    }
    Ok(())
}

/// Runs them beside the tests, and says what failed.
pub(super) fn aside(checks: Vec<Command>) -> Result<Vec<String>> {
    let mut broken = Vec::new();
    for mut check in checks {
        let ended = at_leisure(&mut check)?;
        if !ended.status.success() {
            broken.push(shell::line(&check));
        }
    }
    Ok(broken)
}

/// Runs a command to its end while tests run, and shows what it has printed.
pub(super) fn at_leisure(command: &mut Command) -> Result<Output> {
    let line = shell::line(command);
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let child = child.with_context(|| format!("cannot start {line}"))?;
    // Without it, it is as it would be alone.
    let _ = setpriority_process(Pid::from_raw(child.id().cast_signed()), PRIORITY);
    let ended = child.wait_with_output().with_context(|| format!("cannot wait for {line}"))?;
    let text = [format!("+ {line}\n").as_bytes(), &ended.stdout, &ended.stderr].concat();
    std::io::stderr().lock().write_all(&text).context("cannot print")?;
    Ok(ended)
}
