//! Running other programs with the terminal as their output.

use std::process::{Command, ExitStatus};

use anyhow::{Context, Result, bail};

/// Says what is run, and runs it.
pub(crate) fn run(command: &mut Command) -> Result<ExitStatus> {
    eprintln!("+ {}", line(command));
    command.status().with_context(|| format!("cannot start {}", line(command)))
}

/// As [`run`], for commands that must succeed.
pub(crate) fn succeed(command: &mut Command) -> Result<()> {
    let status = run(command)?;
    if !status.success() {
        bail!("{} failed: {status}", line(command));
    }
    Ok(())
}

/// The command as one would type it.
pub(crate) fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let mut words: Vec<String> = words.map(|word| word.to_string_lossy().into_owned()).collect();
    // Cargo's own path is long and says nothing.
    if let Some(first) = words.first_mut().filter(|first| first.ends_with("/cargo")) {
        "cargo".clone_into(first);
    }
    words.join(" ")
}
