//! Several processes for tests, each replaced when a test takes too long or ends it.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use parking_lot::Mutex;

use super::Case;
use super::worker::{COMMAND, Order};
use subprocess::{kill_group, wait_for};

use crate::case::{CaseResult, Failure, Outcome};
use crate::context::Context;

/// How often a waiting pool looks whether it is to end.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Runs the suite. What it lists has ended; tests that were still to come when it was stopped are left out.
pub(crate) fn run(context: Context<'_>, suite: &str) -> io::Result<Vec<CaseResult>> {
    let is_wanted = |case: &&Case| case.read_only == context.read_only && context.settings.wants(case.name);
    let cases: VecDeque<&Case> = super::all().filter(is_wanted).collect();
    context.observer.begins(suite, Some(cases.len()));
    let (queue, results) = (Mutex::new(cases), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        let work = || -> io::Result<()> {
            let mut worker = None;
            loop {
                let Some(case) = queue.lock().pop_front().filter(|_| context.stop.cause().is_none()) else {
                    return Ok(());
                };
                let running = match &mut worker {
                    Some(running) => running,
                    empty => empty.insert(Worker::start()?),
                };
                let (result, is_usable) = running.test(context, case);
                if !is_usable {
                    worker = None;
                }
                if let Some(result) = result {
                    context.observer.ended(suite, &result);
                    results.lock().push(result);
                }
            }
        };
        let threads: Vec<_> = (0..context.settings.jobs.max(1)).map(|_| scope.spawn(work)).collect();
        threads.into_iter().try_for_each(|thread| {
            thread.join().unwrap_or_else(|_| Err(io::Error::other("a thread that runs tests panicked")))
        })
    })?;
    Ok(results.into_inner())
}

/// A process for tests.
struct Worker {
    child: Child,
    input: ChildStdin,
    output: ChildStdout,
    stderr: File,
}

/// How an order was answered.
enum Answer {
    Outcome(Outcome),
    Died(Option<ExitStatus>),
    TooLate,
    Stopped,
}

impl Worker {
    fn start() -> io::Result<Self> {
        let stderr = tempfile::tempfile()?;
        let mut command = Command::new("/proc/self/exe");
        // In a group of its own: a Ctrl-C is for us, who then end it in order.
        command.arg(COMMAND).process_group(0).current_dir("/");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(stderr.try_clone()?);
        let mut child = command.spawn()?;
        match (child.stdin.take(), child.stdout.take()) {
            (Some(input), Some(output)) => Ok(Worker { child, input, output, stderr }),
            _ => Err(io::Error::other("a process without pipes")),
        }
    }

    /// Runs one test. Also returns whether the process can be used again.
    fn test(&mut self, context: Context<'_>, case: &Case) -> (Option<CaseResult>, bool) {
        let settings = context.settings;
        let own = if case.read_only { String::new() } else { case.name.replace("::", "-") };
        let directory = context.directory.join(own);
        let order = Order { case: case.name.to_owned(), directory, seed: settings.seed };
        let start = context.clock.now();
        let answer = self.ask(&order, context);
        let span = context.clock.since(start);
        let result = |outcome| Some(CaseResult::new(case.name, outcome, span).about(case.about));
        match answer {
            Answer::Outcome(outcome @ Outcome::Failed(_)) => match context.stop.failure_soon() {
                Some(gone) => (result(is_gone(case, gone)), false),
                None => (result(outcome), true),
            },
            Answer::Outcome(outcome) => (result(outcome), true),
            Answer::Died(status) => {
                let actual = self.last_words(status);
                (result(Outcome::Failed(Failure::new(case.about, "the test's process to live on", actual))), false)
            }
            Answer::TooLate => (result(Outcome::Failed(Failure::timed_out(case.about, settings.timeout))), false),
            // If it is the server's end that has stopped everything, this is the test that saw it.
            Answer::Stopped => (context.stop.failure().and_then(|gone| result(is_gone(case, gone))), false),
        }
    }

    fn ask(&mut self, order: &Order, context: Context<'_>) -> Answer {
        let Ok(mut line) = serde_json::to_vec(order) else { return Answer::Died(None) };
        line.push(b'\n');
        if self.input.write_all(&line).is_err() {
            return Answer::Died(self.end());
        }
        let deadline = Instant::now() + context.settings.timeout;
        let mut answer = Vec::new();
        loop {
            if context.stop.cause().is_some() {
                return Answer::Stopped;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Answer::TooLate;
            }
            let timeout = PollTimeout::try_from(left.min(POLL_INTERVAL)).unwrap_or(PollTimeout::ZERO);
            let mut polled = [PollFd::new(self.output.as_fd(), PollFlags::POLLIN)];
            if !poll(&mut polled, timeout).is_ok_and(|ready| ready > 0) {
                continue;
            }
            let mut part = [0; 4096];
            match self.output.read(&mut part) {
                Ok(0) | Err(_) => return Answer::Died(self.end()),
                Ok(count) => answer.extend_from_slice(&part[..count]),
            }
            if answer.ends_with(b"\n") {
                return serde_json::from_slice(&answer).map_or_else(|_| Answer::Died(self.end()), Answer::Outcome);
            }
        }
    }

    /// Ends the process, if it has not ended already.
    fn end(&mut self) -> Option<ExitStatus> {
        if let Some(status) = wait_for(&mut self.child, Duration::from_millis(500)) {
            return Some(status);
        }
        kill_group(self.child.id());
        // One that waits in the kernel for a server that does not answer ends when the mount goes.
        wait_for(&mut self.child, Duration::from_secs(2))
    }

    /// What is known of the end of the process.
    fn last_words(&mut self, status: Option<ExitStatus>) -> String {
        let mut said = String::new();
        if self.stderr.rewind().and_then(|()| self.stderr.read_to_string(&mut said)).is_err() {
            said.clear();
        }
        let end = match status.map(|status| (status.signal(), status)) {
            Some((Some(signal), _)) => {
                let name = Signal::try_from(signal).map_or_else(|_| signal.to_string(), |signal| signal.to_string());
                format!("killed by {name}")
            }
            Some((None, status)) => status.to_string(),
            None => "no answer".to_owned(),
        };
        if said.trim().is_empty() { end } else { format!("{end}: {}", said.trim()) }
    }
}

/// A test that has seen what it tests go.
fn is_gone(case: &Case, gone: &str) -> Outcome {
    Outcome::Failed(Failure::new(case.about, "a reply", gone))
}

impl Drop for Worker {
    fn drop(&mut self) {
        kill_group(self.child.id());
        let _ = wait_for(&mut self.child, Duration::from_secs(2));
    }
}
