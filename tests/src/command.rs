//! Running a program to its end, with a time limit.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{Read, Seek};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::{process, wait};

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

/// Runs `command` to its end and collects what it prints. When `limit` passes, its process group is killed and that is an
/// error.
pub fn run(command: &mut Command, limit: Duration) -> Result<Outcome> {
    let start = Instant::now();
    // Files, not pipes: a daemon that keeps its output open must not keep us waiting.
    let stdout = tempfile::tempfile()?;
    let stderr = tempfile::tempfile()?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(stdout.try_clone()?)
        .stderr(stderr.try_clone()?)
        .process_group(0)
        .spawn()
        .with_context(|| format!("cannot start {command:?}"))?;
    let ended = exit_status(&mut child, limit);
    if ended.is_err() {
        process::kill_group(child.id());
        _ = child.wait();
    }
    let (stdout, stderr) = (text(&stdout)?, text(&stderr)?);
    match ended {
        Ok(status) => Ok(Outcome { status, stdout, stderr, elapsed: start.elapsed() }),
        Err(error) => Err(error.context(format!("{command:?}\nstdout: {stdout}\nstderr: {stderr}"))),
    }
}

/// Runs `command`, which must succeed within `limit`, and gives its standard output.
pub fn succeed(command: &mut Command, limit: Duration) -> Result<String> {
    let outcome = run(command, limit)?;
    outcome.success().with_context(|| format!("{command:?}"))
}

/// Runs a shell script in `directory`. It stops at its first failing command. `fails COMMAND` wants a failure; the shell
/// itself would go on after a `! COMMAND` in either case.
pub fn shell(directory: &Path, script: &str, limit: Duration) -> Result<String> {
    let script = format!("{FAILS}\n{script}");
    succeed(Command::new("bash").args(["-euo", "pipefail", "-c", &script]).current_dir(directory), limit)
}

const FAILS: &str = r#"fails() { if "$@"; then echo "should have failed: $*" >&2; exit 1; fi; }"#;

/// Waits for the end of `child`.
pub fn exit_status(child: &mut Child, limit: Duration) -> Result<ExitStatus> {
    wait::until_some("the end of a program", limit, || child.try_wait().transpose())?.context("cannot wait for a child")
}

/// Everything in `file`, from its beginning.
pub fn text(mut file: &File) -> Result<String> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
