//! Programs that are started, watched and ended.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process, wait};
use subprocess::End;

/// How long anything is waited for.
#[derive(Clone, Debug)]
pub(super) struct Timeout {
    /// The longest time for one step.
    pub(super) time_limit: Duration,
    /// Set when somebody wants to stop.
    pub(super) stop: Arc<AtomicBool>,
    /// Hears of what may take long.
    pub(super) progress: fn(&str),
}

impl Timeout {
    /// Whether somebody wants to stop.
    pub(super) fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// Why there is no outcome when somebody wants to stop.
pub(super) const STOPPED: &str = "stopped by a signal";

/// The pause between two looks.
const STEP: Duration = Duration::from_millis(5);
/// How long ended processes may take to disappear.
const ENDING: Duration = Duration::from_secs(5);

/// What a program has left behind.
#[derive(Debug)]
pub(super) struct Outcome {
    /// Whether its exit status was 0.
    pub(super) succeeded: bool,
    pub(super) stdout: String,
    pub(super) stderr: String,
    /// How long it took.
    pub(super) elapsed: Duration,
}

impl Outcome {
    /// The last thing that it said, which tells the most.
    pub(super) fn last_words(&self) -> &str {
        let said = |text: &'_ str| text.lines().rev().find(|line| !line.trim().is_empty()).is_some();
        let text = if said(&self.stderr) { &self.stderr } else { &self.stdout };
        text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it failed and said nothing")
    }
}

/// runsc from `runsc`, with this program for its gofer.
pub(super) fn ours(runsc: &Path) -> io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg0("gofer").args([OsStr::new("runtime"), OsStr::new("--runsc"), runsc.as_os_str(), OsStr::new("--")]);
    Ok(command)
}

/// Runs `command` to its end and collects what it prints. It is killed when it takes too long.
pub(super) fn run(command: &mut Command, timeout: &Timeout) -> io::Result<Outcome> {
    let outcome = subprocess::run(command, timeout.time_limit, || timeout.is_over())?;
    let succeeded = match outcome.end {
        End::Exited(status) => status.success(),
        End::Stopped => return Err(io::Error::other(STOPPED)),
        End::TimedOut => {
            return Err(io::Error::other(format!("it did not finish within {:?}", timeout.time_limit)));
        }
    };
    let subprocess::Outcome { stdout, stderr, elapsed, .. } = outcome;
    Ok(Outcome { succeeded, stdout, stderr, elapsed })
}

/// Ends all children of this process, and their children in turn: those of a dead one become ours, see
/// [`adopt_orphans`].
pub(super) fn end_all() {
    let start = Instant::now();
    while start.elapsed() < ENDING {
        for child in children() {
            _ = kill_process(child, Signal::KILL);
        }
        match wait(WaitOptions::NOHANG) {
            // There may be more.
            Ok(Some(_)) => {}
            Ok(None) => std::thread::sleep(STEP),
            Err(_) => return,
        }
    }
}

/// Makes orphans below us our children, instead of those of the machine's first process.
pub(super) fn adopt_orphans() -> io::Result<()> {
    Ok(rustix::process::set_child_subreaper(Some(getpid()))?)
}

/// All processes whose parent we are.
fn children() -> Vec<Pid> {
    let us = getpid().as_raw_nonzero().get();
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let numbers = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    numbers.filter(|number| parent(*number) == Some(us)).filter_map(Pid::from_raw).collect()
}

fn parent(process: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name before it is in brackets, and can have anything in it.
    stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timeout(time_limit: Duration) -> Timeout {
        Timeout { time_limit, stop: Arc::default(), progress: |_| {} }
    }

    fn shell(script: &str) -> Command {
        let mut shell = Command::new("sh");
        shell.args(["-c", script]);
        shell
    }

    #[test]
    fn the_last_words_are_kept() {
        let limit = timeout(Duration::from_secs(10));
        let outcome = run(&mut shell("echo out; echo one >&2; echo two >&2; echo >&2; exit 3"), &limit).unwrap();
        assert!(!outcome.succeeded);
        assert_eq!((outcome.stdout.as_str(), outcome.last_words()), ("out\n", "two"));
        let outcome = run(&mut shell("echo out"), &limit).unwrap();
        assert!(outcome.succeeded);
        assert_eq!(outcome.last_words(), "out");
    }

    #[test]
    fn what_takes_too_long_is_ended() {
        let start = Instant::now();
        let error = run(&mut shell("exec sleep 60"), &timeout(Duration::from_millis(50))).unwrap_err();
        assert_eq!(error.to_string(), "it did not finish within 50ms");
        assert!(start.elapsed() < Duration::from_secs(30));
        let stopped = timeout(Duration::from_secs(60));
        stopped.stop.store(true, Ordering::Relaxed);
        assert_eq!(run(&mut shell("exec sleep 60"), &stopped).unwrap_err().to_string(), "stopped by a signal");
    }

    #[test]
    fn children_are_found() {
        let mut child = shell("exec sleep 60").spawn().unwrap();
        let found = children().into_iter().any(|pid| pid.as_raw_nonzero().get().unsigned_abs() == child.id());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(found);
    }
}
