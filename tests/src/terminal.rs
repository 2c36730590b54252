//! Programs at a terminal of their own.

use std::fs::File;
use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::command::Outcome;
use crate::{command, wait};

const LIMIT: Duration = Duration::from_secs(60);

/// A shell command at a terminal, of which the test is the other end.
#[derive(Debug)]
pub struct Terminal {
    child: Child,
    screen: File,
}

impl Terminal {
    /// Starts `script` in a shell, by script(1), which brings the terminal.
    pub fn start(script: &str) -> Result<Self> {
        let screen = tempfile::tempfile()?;
        // Tests may run in the background, where shells have these ignored.
        let mut command = Command::new("env");
        command.args([
            "--default-signal=INT,QUIT",
            "script",
            "--quiet",
            "--flush",
            "--return",
            "--command",
            script,
            "/dev/null",
        ]);
        command.stdin(Stdio::piped()).stdout(screen.try_clone()?).stderr(screen.try_clone()?);
        Ok(Terminal { child: command.spawn().context("cannot run script")?, screen })
    }

    /// What was shown so far.
    pub fn screen(&self) -> Result<String> {
        command::text(&self.screen)
    }

    /// Waits until `text` was shown so often.
    pub fn shows(&self, text: &str, times: usize) -> Result<()> {
        let shown = wait::until(&format!("the terminal shows {text:?}"), LIMIT, || {
            self.screen().is_ok_and(|screen| screen.matches(text).count() >= times)
        });
        shown.with_context(|| self.screen().unwrap_or_default())
    }

    /// Types `text`.
    pub fn types(&mut self, text: &str) -> Result<()> {
        let keyboard = self.child.stdin.as_mut().context("the keyboard has gone")?;
        Ok(keyboard.write_all(text.as_bytes())?)
    }

    /// Waits for the end, and gives what was shown.
    pub fn ends(mut self) -> Result<Outcome> {
        let status = command::exit_status(&mut self.child, LIMIT).with_context(|| self.screen().unwrap_or_default())?;
        let stdout = self.screen()?;
        Ok(Outcome { status, stdout, stderr: String::new(), elapsed: Duration::ZERO })
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Only of tests that have failed it is still there.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
