//! Containers of runsc, with its own gofer or with ours.
//!
//! A story about them is played on every runsc there is, once with each gofer; what it answers must be the same.

mod bundle;
mod leftovers;
mod rootfs;
mod runsc;
mod tree;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

pub use bundle::Bundle;
pub use runsc::{DirectFs, Platform, Runsc};
pub use tree::listing;

use crate::command::{self, Outcome};
use crate::{bins, scratch};

/// How long any one command may take.
pub const LIMIT: Duration = Duration::from_secs(60);

/// Names a directory for the debug logs of runsc and both gofers, for whoever looks for a mistake.
pub const LOGS: &str = "RUNSC_LOGS";

/// Whose gofer answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gofer {
    /// The one in runsc.
    Stock,
    /// Ours, by way of the runtime shim.
    Ours,
}

/// A place for containers: one runsc, one gofer, and a state directory that nobody else has.
#[derive(Debug)]
pub struct Sandbox {
    runsc: Runsc,
    gofer: Gofer,
    flags: Vec<String>,
    /// Another program than `gofer`.
    program: Option<PathBuf>,
    scratch: TempDir,
}

impl Sandbox {
    /// A place without containers.
    pub fn new(runsc: &Runsc, gofer: Gofer) -> Result<Self> {
        let scratch = scratch::disk()?;
        for directory in ["state", "bundles"] {
            std::fs::create_dir(scratch.path().join(directory))?;
        }
        Ok(Self { runsc: runsc.clone(), gofer, flags: vec!["--overlay2=none".to_owned()], program: None, scratch })
    }

    /// With more of runsc's global flags. The last of equal ones counts.
    #[must_use]
    pub fn with_flags(mut self, flags: &[&str]) -> Self {
        self.flags.extend(flags.iter().map(|&flag| flag.to_owned()));
        self
    }

    /// With a gofer of its own.
    #[must_use]
    pub fn with_program(mut self, program: &Path) -> Self {
        self.program = Some(program.to_path_buf());
        self
    }

    /// The runsc that runs here.
    #[must_use]
    pub fn runsc(&self) -> &Runsc {
        &self.runsc
    }

    /// Whose gofer answers here.
    #[must_use]
    pub fn gofer(&self) -> Gofer {
        self.gofer
    }

    /// A directory for whatever a story needs. Bundles are in `bundles`, runsc's state is in `state`.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.scratch.path()
    }

    /// Where a story may put what is in `/etc/gofer/runtime.json` elsewhere.
    #[must_use]
    pub fn configuration(&self) -> PathBuf {
        self.path().join("runtime.json")
    }

    /// The medium of the root's overlay, empty if there is none.
    pub(crate) fn root_overlay(&self) -> String {
        let overlay = self.flags.iter().rev().find_map(|flag| flag.strip_prefix("--overlay2=")).unwrap_or_default();
        overlay.split_once(':').map(|(_, medium)| medium.to_owned()).unwrap_or_default()
    }

    /// What no other sandbox is called.
    pub(crate) fn name(&self) -> String {
        self.path().file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// A fresh directory of that name, for a mount's source.
    pub fn directory(&self, name: &str) -> Result<PathBuf> {
        let path = self.path().join(name);
        std::fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(path)
    }

    /// `runsc FLAGS ARGUMENTS`, not started yet.
    pub fn command(&self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Result<Command> {
        let mut command = self.program()?;
        command.args(self.runsc.flags()).arg("--root").arg(self.path().join("state")).args(&self.flags);
        if let Some(logs) = std::env::var_os(LOGS) {
            let mut pattern = logs;
            pattern.push("/");
            command.args(["--debug", "--debug-log"]).arg(pattern);
        }
        command.args(arguments);
        Ok(command)
    }

    /// runsc without any argument.
    pub fn program(&self) -> Result<Command> {
        Ok(match self.gofer {
            Gofer::Stock => Command::new(self.runsc.path()),
            Gofer::Ours => {
                let mut command = Command::new(self.program.clone().map_or_else(bins::gofer, Ok)?);
                command.args(["runtime", "--runsc"]).arg(self.runsc.path()).arg("--");
                let configuration = self.configuration();
                if configuration.exists() {
                    command.env("GOFER_CONFIG", configuration);
                }
                command
            }
        })
    }

    /// Runs one of runsc's commands to its end.
    pub fn call(&self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Result<Outcome> {
        command::run(&mut self.command(arguments)?, LIMIT)
    }

    /// As [`Self::call`], for commands that must succeed. Answers their standard output.
    pub fn succeed(&self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Result<String> {
        command::succeed(&mut self.command(arguments)?, LIMIT)
    }

    /// Runs a container to its end.
    pub fn run(&self, bundle: &Bundle) -> Result<Outcome> {
        bundle.write(self)?;
        self.call([OsStr::new("run"), "--bundle".as_ref(), bundle.path().as_os_str(), bundle.id().as_ref()])
    }

    /// Runs a container to its end, which must be a good one. Answers what it printed.
    pub fn output(&self, bundle: &Bundle) -> Result<String> {
        let outcome = self.run(bundle)?;
        if !outcome.stderr.is_empty() {
            bail!("{}", outcome.describe());
        }
        outcome.success()
    }

    /// Makes a container that waits to be started.
    pub fn create(&self, bundle: &Bundle) -> Result<()> {
        bundle.write(self)?;
        self.succeed([OsStr::new("create"), "--bundle".as_ref(), bundle.path().as_os_str(), bundle.id().as_ref()])?;
        Ok(())
    }

    /// Starts a container and leaves it running.
    pub fn start(&self, bundle: &Bundle) -> Result<()> {
        self.create(bundle)?;
        self.succeed(["start", bundle.id()])?;
        Ok(())
    }

    /// The processes that this sandbox consists of, by their kind: `gofer`, `sandbox`, or the command that somebody
    /// runs.
    pub fn processes(&self, kind: &str) -> Result<Vec<u32>> {
        leftovers::processes(self.path(), &format!("runsc-{kind}"))
    }

    /// Ends the story: nothing may be left of its containers.
    pub fn end(self) -> Result<()> {
        leftovers::none(self.path())
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        // Only of stories that have failed is anything there.
        leftovers::remove(self.path());
    }
}

/// Plays a story on every runsc with both gofers; it must answer the same. What is told of must also be true, which the
/// story itself says.
pub fn compare(story: impl Fn(&Sandbox) -> Result<String>) -> Result<()> {
    compare_with(&[], story)
}

/// As [`compare`], with more of runsc's global flags.
pub fn compare_with(flags: &[&str], story: impl Fn(&Sandbox) -> Result<String>) -> Result<()> {
    for runsc in Runsc::all() {
        let [stock, ours] = [Gofer::Stock, Gofer::Ours]
            .map(|gofer| play(&runsc, gofer, flags, |sandbox| Ok(story(sandbox)?.replace(&sandbox.name(), "HERE"))));
        let (stock, ours) = (stock?, ours?);
        if stock != ours {
            bail!("on {runsc}: with runsc's own gofer\n{stock}\nwith ours\n{ours}");
        }
    }
    Ok(())
}

/// Plays a story that only we can tell on every runsc.
pub fn with_ours(story: impl Fn(&Sandbox) -> Result<()>) -> Result<()> {
    Runsc::all().iter().try_for_each(|runsc| play(runsc, Gofer::Ours, &[], &story))
}

fn play<T>(runsc: &Runsc, gofer: Gofer, flags: &[&str], story: impl Fn(&Sandbox) -> Result<T>) -> Result<T> {
    let scene = || format!("on {runsc}, gofer: {gofer:?}");
    let sandbox = Sandbox::new(runsc, gofer)?.with_flags(flags);
    let answer = story(&sandbox).with_context(scene)?;
    sandbox.end().with_context(scene)?;
    Ok(answer)
}
