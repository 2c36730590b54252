//! Running a program to its end: what it prints, within a time limit, with nothing of it left behind.

#![deny(unsafe_code)]

mod lines;

pub use lines::lines;

use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

/// The longest pause between two looks.
const STEP: Duration = Duration::from_millis(20);

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// By itself.
    Exited(ExitStatus),
    /// It took too long and was killed.
    TimedOut,
    /// Somebody wanted to stop, and it was killed.
    Stopped,
}

/// What a program has left behind.
#[derive(Debug)]
pub struct Outcome {
    /// How it ended.
    pub end: End,
    /// Its standard output. Bytes that are not UTF-8 are replaced.
    pub stdout: String,
    /// Its standard error output, likewise.
    pub stderr: String,
    /// How long it took.
    pub elapsed: Duration,
}

/// Runs `command` to its end and collects what it prints. When `limit` has passed or `stops` says so, it is killed with
/// its process group, which is its own: signals of the terminal come to the caller alone.
pub fn run(command: &mut Command, limit: Duration, stops: impl Fn() -> bool) -> io::Result<Outcome> {
    let start = Instant::now();
    // Files, not pipes: a daemon that keeps its output open must not keep us waiting.
    let (stdout, stderr) = (tempfile::tempfile()?, tempfile::tempfile()?);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(stdout.try_clone()?)
        .stderr(stderr.try_clone()?)
        .process_group(0)
        .spawn()?;
    let end = end_of(&mut child, limit, stops);
    if !matches!(end, Ok(End::Exited(_))) {
        // It is not waited for yet, so its number is still its own.
        kill_group(child.id());
        _ = child.wait();
    }
    Ok(Outcome { end: end?, stdout: text(&stdout)?, stderr: text(&stderr)?, elapsed: start.elapsed() })
}

fn end_of(child: &mut Child, limit: Duration, stops: impl Fn() -> bool) -> io::Result<End> {
    let deadline = Instant::now() + limit;
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(End::Exited(status));
        }
        if stops() {
            return Ok(End::Stopped);
        }
        if Instant::now() >= deadline {
            return Ok(End::TimedOut);
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(STEP);
    }
}

/// Waits for the end of a process, for a while.
pub fn wait_for(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    match end_of(child, limit, || false) {
        Ok(End::Exited(status)) => Some(status),
        _ => None,
    }
}

/// Kills a process that leads a group, and the group with it.
pub fn kill_group(process: u32) {
    if let Some(group) = i32::try_from(process).ok().and_then(Pid::from_raw) {
        // It may have ended meanwhile, which is just as well.
        let _ = kill_process_group(group, Signal::KILL);
    }
}

/// Everything in `file`, from its beginning.
pub fn text(mut file: &File) -> io::Result<String> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut shell = Command::new("sh");
        shell.args(["-c", script]);
        shell
    }

    #[test]
    fn what_it_prints_is_kept() {
        let outcome = run(&mut shell("echo out; echo err >&2; exit 3"), Duration::from_secs(20), || false).unwrap();
        assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("out\n", "err\n"));
        assert!(matches!(outcome.end, End::Exited(status) if status.code() == Some(3)));
    }

    #[test]
    fn what_takes_too_long_is_killed_with_its_children() {
        let start = Instant::now();
        let script = "echo begun; sleep 60 & wait";
        let outcome = run(&mut shell(script), Duration::from_millis(500), || false).unwrap();
        assert_eq!((outcome.end, outcome.stdout.as_str()), (End::TimedOut, "begun\n"));
        let outcome = run(&mut shell("exec sleep 60"), Duration::from_secs(60), || true).unwrap();
        assert_eq!(outcome.end, End::Stopped);
        assert!(start.elapsed() < Duration::from_secs(30));
    }
}
