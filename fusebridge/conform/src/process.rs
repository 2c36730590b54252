//! Programs that suites run.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::context::Stop;
use crate::child::wait_for;

/// How often a waiting suite looks whether it is to end.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// How a program ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// By itself.
    By(ExitStatus),
    /// It said nothing for too long and was killed.
    Silent,
    /// The suite was to end, and it was killed.
    Stopped,
}

/// Runs `command` and hands each line that it prints to `line`, the lines of its standard error output to nobody but the answer.
/// It is killed with all its children if no line comes for `limit`.
pub(super) fn lines(
    command: &mut Command,
    limit: Duration,
    stop: &Stop,
    mut line: impl FnMut(&str),
) -> io::Result<(Ended, String)> {
    let complaints = tempfile::tempfile()?;
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(complaints.try_clone()?).process_group(0);
    let mut child = command.spawn()?;
    let Some(output) = child.stdout.take() else { return Err(io::Error::other("a program without a pipe")) };
    let (sender, receiver) = channel();
    // Not joined: a child of the program that lives on would keep the pipe open.
    std::thread::spawn(move || {
        for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
            if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                return;
            }
        }
    });
    let mut deadline = Instant::now() + limit;
    let ended = loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match receiver.recv_timeout(left.min(POLL_INTERVAL)) {
            Ok(text) => {
                deadline = Instant::now() + limit;
                line(&text);
                // One that prints all the time would never be seen to wait.
                if stop.cause().is_some() {
                    break Ended::Stopped;
                }
            }
            Err(RecvTimeoutError::Disconnected) => match wait_for(&mut child, left) {
                Some(status) => break Ended::By(status),
                None => break Ended::Silent,
            },
            Err(RecvTimeoutError::Timeout) if stop.cause().is_some() => break Ended::Stopped,
            Err(RecvTimeoutError::Timeout) if Instant::now() >= deadline => break Ended::Silent,
            Err(RecvTimeoutError::Timeout) => {}
        }
    };
    if !matches!(ended, Ended::By(_)) {
        kill_group(child.id());
        // One that waits in the kernel for a server that does not answer ends when the mount goes.
        let _ = wait_for(&mut child, Duration::from_secs(2));
    }
    Ok((ended, text(complaints)?))
}

fn text(mut file: File) -> io::Result<String> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
}

/// Kills a process that leads a group, and the group with it.
pub(super) fn kill_group(process: u32) {
    if let Ok(pid) = i32::try_from(process) {
        // It may have ended meanwhile, which is just as well.
        let _ = kill(Pid::from_raw(-pid), Signal::SIGKILL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::Cause;

    fn shell(script: &str, limit: Duration, stop: &Stop) -> (Vec<String>, Ended, String) {
        let mut seen = Vec::new();
        let mut command = Command::new("sh");
        let (ended, said) =
            lines(command.args(["-c", script]), limit, stop, |line| seen.push(line.to_owned())).unwrap();
        (seen, ended, said)
    }

    #[test]
    fn lines_and_complaints_are_heard() {
        let (seen, ended, said) =
            shell("echo a; echo b; echo oh >&2; exit 3", Duration::from_secs(20), &Stop::default());
        assert_eq!((seen, said.as_str()), (vec!["a".to_owned(), "b".to_owned()], "oh"));
        assert!(matches!(ended, Ended::By(status) if status.code() == Some(3)));
    }

    #[test]
    fn who_says_nothing_is_killed() {
        let started = Instant::now();
        let (seen, ended, _) = shell("echo a; sleep 60", Duration::from_secs(3), &Stop::default());
        assert_eq!(seen, ["a"]);
        assert!(matches!(ended, Ended::Silent) && started.elapsed() < Duration::from_secs(20));
        let stop = Stop::default();
        stop.stop(Cause::Interrupted);
        for script in ["sleep 60", "while echo a; do :; done"] {
            assert!(matches!(shell(script, Duration::from_secs(60), &stop).1, Ended::Stopped), "{script}");
        }
    }
}
