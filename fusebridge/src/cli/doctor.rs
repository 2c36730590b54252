//! `fusebridge doctor`: whether file systems can be mounted on this machine.

use std::io::{self, Write};
use std::process::{Command, ExitCode};
use std::time::Duration;

use clap::Args;
use gofer::doctor::{Finding, Level, for_mounts};
use nix::unistd::geteuid;
use subprocess::{End, Outcome, run};

use super::{Failure, no_stdout};

const NOTES: &str = "Prints one line for each check:
  ok       works
  note     for your information
  warning  will be a nuisance
  missing  nothing can be mounted without it; the exit status is 1

It mounts file systems on temporary directories, uses them and leaves nothing
behind. Run it as the user who is to mount. For containers: gofer doctor";

/// Examines this machine.
#[derive(Debug, Args)]
#[command(after_help = NOTES)]
pub(super) struct Doctor {
    /// Timeout of each step
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    time_limit: u64,
    /// Print JSON, one object for each check
    #[arg(long)]
    json: bool,
}

impl Doctor {
    /// Examines this machine, and returns whether file systems can be mounted.
    pub(super) fn run(&self) -> Result<ExitCode, Failure> {
        let mut can_mount = true;
        let mut unsaid = None;
        let mut tell = |finding: Finding| {
            can_mount &= finding.level != Level::Missing;
            let line = if self.json { finding.to_json() } else { finding.to_string() };
            // A reader who has gone does not matter: the exit status says it all.
            let said = writeln!(io::stdout(), "{line}");
            unsaid = unsaid.take().or(said.err().filter(|error| error.kind() != io::ErrorKind::BrokenPipe));
            finding.level
        };
        for finding in for_mounts() {
            if tell(finding) == Level::Missing {
                // What is tried would only say it once more.
                return Ok(ExitCode::FAILURE);
            }
        }
        let worked = tell(self.attempt("mount", "mem:", "auto", Level::Missing)?) == Level::Ok;
        if worked && geteuid().is_root() {
            let directory = tempfile::tempdir()?;
            let backend = format!("host:{}", directory.path().display());
            tell(self.attempt("passthrough", &backend, "passthrough", Level::Note)?);
        }
        match unsaid {
            Some(error) => Err(no_stdout(&error)),
            None if can_mount => Ok(ExitCode::SUCCESS),
            None => Ok(ExitCode::FAILURE),
        }
    }

    /// Mounts `backend`, and writes and reads a file there. That it cannot be done is of `level`.
    fn attempt(&self, subject: &str, backend: &str, io: &str, level: Level) -> io::Result<Finding> {
        let mut mount = Command::new("/proc/self/exe");
        mount.args(["run", "--io", io, backend, "--", "sh", "-c", "echo content > file && cat file && rm file"]);
        let outcome = run(&mut mount, Duration::from_secs(self.time_limit), || false)?;
        Ok(match judge(&outcome) {
            Ok(()) => Finding::ok(subject, format!("a file was written and read with --io {io}")),
            Err(why) => Finding::new(level, subject, format!("with --io {io}: {why}")),
        })
    }
}

/// Why it is not what it should be.
fn judge(outcome: &Outcome) -> Result<(), String> {
    match outcome.end {
        End::Exited(status) if status.success() && outcome.stdout == "content\n" => Ok(()),
        End::Exited(_) => {
            let last = outcome.stderr.lines().rfind(|line| !line.trim().is_empty());
            Err(last.unwrap_or("what was read is not what was written").to_owned())
        }
        End::TimedOut | End::Stopped => Err("it takes too long; try a longer --time-limit".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    use super::*;

    #[test]
    fn what_went_wrong_is_the_last_line() {
        let outcome = |end, stdout: &str, stderr: &str| Outcome {
            end,
            stdout: stdout.to_owned(),
            stderr: stderr.to_owned(),
            elapsed: Duration::ZERO,
        };
        let ended = |code: i32| End::Exited(ExitStatus::from_raw(code << 8));
        assert_eq!(judge(&outcome(ended(0), "content\n", "")), Ok(()));
        assert_eq!(judge(&outcome(ended(1), "", "a\nb\n\n")), Err("b".to_owned()));
        assert!(judge(&outcome(ended(0), "other\n", "")).unwrap_err().contains("not what was written"));
        assert!(judge(&outcome(End::TimedOut, "", "")).unwrap_err().contains("--time-limit"));
    }
}
