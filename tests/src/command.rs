//! Running a program to its end, with a time limit.

use std::fmt::Write as _;
use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use subprocess::End;

/// What a program left behind.
#[derive(Debug)]
pub struct Outcome {
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output. Bytes that are not UTF-8 are replaced.
    pub stdout: String,
    /// Its standard error output, likewise.
    pub stderr: String,
    /// How long it took.
    pub elapsed: Duration,
}

impl Outcome {
    /// The standard output of a program that succeeded, else an error with everything it said.
    pub fn success(self) -> Result<String> {
        if self.status.success() {
            return Ok(self.stdout);
        }
        bail!("{}", self.describe());
    }

    /// Status and output in one text, for error messages.
    #[must_use]
    pub fn describe(&self) -> String {
        let mut text = String::new();
        match (self.status.code(), self.status.signal()) {
            (Some(code), _) => _ = write!(text, "exit status {code}"),
            (None, Some(signal)) => _ = write!(text, "killed by signal {signal}"),
            (None, None) => text.push_str("ended"),
        }
        for (name, output) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            if !output.trim().is_empty() {
                _ = write!(text, "\n{name}: {}", output.trim_end());
            }
        }
        text
    }
}

/// Runs `command` to its end and collects what it prints. When `limit` passes, its process group is killed and that is
/// an error.
pub fn run(command: &mut Command, limit: Duration) -> Result<Outcome> {
    let outcome =
        subprocess::run(command, limit, || false).with_context(|| format!("cannot run {command:?} to its end"))?;
    let subprocess::Outcome { end, stdout, stderr, elapsed } = outcome;
    match end {
        End::Exited(status) => Ok(Outcome { status, stdout, stderr, elapsed }),
        End::TimedOut | End::Stopped => {
            bail!("{command:?} has not ended within {limit:?}\nstdout: {stdout}\nstderr: {stderr}")
        }
    }
}

/// Runs `command`, which must succeed within `limit`, and gives its standard output.
pub fn succeed(command: &mut Command, limit: Duration) -> Result<String> {
    let outcome = run(command, limit)?;
    outcome.success().with_context(|| format!("{command:?}"))
}

/// Runs a shell script in `directory`. It stops at its first failing command. `fails COMMAND` wants a failure; the
/// shell itself would go on after a `! COMMAND` in either case.
pub fn shell(directory: &Path, script: &str, limit: Duration) -> Result<String> {
    let script = format!("{FAILS}\n{script}");
    succeed(Command::new("bash").args(["-euo", "pipefail", "-c", &script]).current_dir(directory), limit)
}

const FAILS: &str = r#"fails() { if "$@"; then echo "should have failed: $*" >&2; exit 1; fi; }"#;

/// Waits for the end of `child`.
pub fn exit_status(child: &mut Child, limit: Duration) -> Result<ExitStatus> {
    subprocess::wait_for(child, limit).with_context(|| format!("waited {limit:?} in vain: the end of a program"))
}

/// Everything in `file`, from its beginning.
pub fn text(file: &File) -> Result<String> {
    Ok(subprocess::text(file)?)
}
