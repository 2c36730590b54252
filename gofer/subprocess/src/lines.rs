//! Programs that are listened to while they run.

use std::io::{self, BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use super::{End, kill_group, text, wait_for};

/// How often it is asked whether to stop.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Runs `command`, hands each line that it prints to `line`, and gives its standard error output at the end.
/// It is killed with all its children if no line comes for `limit`.
pub fn lines(
    command: &mut Command,
    limit: Duration,
    stops: impl Fn() -> bool,
    mut line: impl FnMut(&str),
) -> io::Result<(End, String)> {
    let stderr = tempfile::tempfile()?;
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(stderr.try_clone()?).process_group(0);
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
                if stops() {
                    break End::Stopped;
                }
            }
            Err(RecvTimeoutError::Disconnected) => match wait_for(&mut child, left) {
                Some(status) => break End::Exited(status),
                None => break End::TimedOut,
            },
            Err(RecvTimeoutError::Timeout) if stops() => break End::Stopped,
            Err(RecvTimeoutError::Timeout) if Instant::now() >= deadline => break End::TimedOut,
            Err(RecvTimeoutError::Timeout) => {}
        }
    };
    if !matches!(ended, End::Exited(_)) {
        kill_group(child.id());
        // One that waits in the kernel for a server that does not answer ends when the mount goes.
        let _ = wait_for(&mut child, Duration::from_secs(2));
    }
    Ok((ended, text(&stderr)?.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, limit: Duration, stops: bool) -> (Vec<String>, End, String) {
        let mut seen = Vec::new();
        let mut command = Command::new("sh");
        let (ended, said) =
            lines(command.args(["-c", script]), limit, || stops, |line| seen.push(line.to_owned())).unwrap();
        (seen, ended, said)
    }

    #[test]
    fn lines_and_errors_are_read() {
        let (seen, ended, said) = shell("echo a; echo b; echo oh >&2; exit 3", Duration::from_secs(20), false);
        assert_eq!((seen, said.as_str()), (vec!["a".to_owned(), "b".to_owned()], "oh"));
        assert!(matches!(ended, End::Exited(status) if status.code() == Some(3)));
    }

    #[test]
    fn who_says_nothing_is_killed() {
        let started = Instant::now();
        let (seen, ended, _) = shell("echo a; sleep 60", Duration::from_secs(3), false);
        assert_eq!(seen, ["a"]);
        assert!(matches!(ended, End::TimedOut) && started.elapsed() < Duration::from_secs(20));
        for script in ["sleep 60", "while echo a; do :; done"] {
            assert!(matches!(shell(script, Duration::from_secs(60), true).1, End::Stopped), "{script}");
        }
    }
}
