//! A shell in a container that does what it is told, so that no start of a process is measured.

use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsFd;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use e2e::command;
use e2e::sandbox::{Bundle, Sandbox};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// How long one script may take.
const LIMIT: Duration = Duration::from_secs(600);

/// A running shell.
pub(super) struct Shell {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Shell {
    /// Starts one in a running container.
    pub(super) fn start(sandbox: &Sandbox, bundle: &Bundle) -> Result<Self> {
        let mut runsc = sandbox.command(["exec", bundle.id(), "/bin/sh"])?;
        let mut child = runsc.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let input = child.stdin.take().context("no input")?;
        let output = BufReader::new(child.stdout.take().context("no output")?);
        let mut shell = Self { child, input, output };
        // A busybox that has an applet of that name comes first, whoever else has one.
        let begun = shell.ask("cd /data && PATH=/bin:/usr/local/bin:/usr/bin; echo $?")?;
        ensure!(begun == "0", "no /data in the container");
        shell.run("true")?.map_err(anyhow::Error::msg)?;
        Ok(shell)
    }

    /// Runs a script to its end and says how long that took, or what it printed if it failed.
    pub(super) fn run(&mut self, script: &str) -> Result<Result<Duration, String>> {
        let start = Instant::now();
        let status = self.ask(&format!("( set -eu; {script} ) < /dev/null > /tmp/out 2>&1; echo $?"))?;
        let took = start.elapsed();
        if status == "0" {
            return Ok(Ok(took));
        }
        let printed = self.ask("tail -n 1 /tmp/out | tr -d '\\n'; echo")?;
        Ok(Err(format!("exit status {status}: {printed}")))
    }

    /// The line with which it answers another.
    fn ask(&mut self, line: &str) -> Result<String> {
        writeln!(self.input, "{line}")?;
        let limit = Timespec::try_from(LIMIT)?;
        if poll(&mut [PollFd::new(&self.output.get_ref().as_fd(), PollFlags::IN)], Some(&limit))? == 0 {
            bail!("not done within {LIMIT:?}: {line}");
        }
        let mut answer = String::new();
        if self.output.read_line(&mut answer)? == 0 {
            bail!("the container's shell has ended: {line}");
        }
        Ok(answer.trim_end().to_owned())
    }

    /// Has it end.
    pub(super) fn end(self) -> Result<()> {
        let Self { mut child, input, .. } = self;
        drop(input);
        let status = command::exit_status(&mut child, LIMIT)?;
        if !status.success() {
            bail!("the container's shell ended with {status}");
        }
        Ok(())
    }
}
