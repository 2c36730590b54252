//! Running the container on trial.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::geteuid;

use super::super::child::{self, Timeout};
use super::bundle::Bundle;
use crate::runsc::FIRST_LINE;

/// How to run the container.
#[derive(Clone, Copy, Debug)]
pub(super) struct Options<'a> {
    pub(super) platform: &'a str,
    /// Whether the sandbox works on files past the gofer. `None`: as it does by itself.
    pub(super) directfs: Option<bool>,
    /// What network it gets, in runsc's words.
    pub(super) network: &'a str,
}

/// All that trials share.
#[derive(Debug)]
pub(super) struct Trial {
    runsc: PathBuf,
    bundle: Bundle,
}

impl Trial {
    /// Trials of the program `runsc`.
    pub(super) fn new(runsc: &Path) -> io::Result<Self> {
        Ok(Trial { runsc: runsc.to_owned(), bundle: Bundle::new()? })
    }

    /// Runs a container, and says either how it went or what was wrong.
    pub(super) fn run(&self, options: Options<'_>, timeout: &Timeout) -> Result<String, String> {
        let outcome = self.command(options).and_then(|mut command| child::run(&mut command, timeout));
        child::end_all();
        let log = self.bundle.take_gofer_log().map_err(|error| format!("cannot read the gofer's log: {error}"))?;
        let written = self.bundle.take_result().map_err(|error| format!("cannot read what it wrote: {error}"))?;
        let outcome = outcome.map_err(|error| error.to_string())?;
        if !outcome.succeeded {
            return Err(format!("runsc says: {}{}", outcome.last_words(), fatal_error(&log)));
        }
        if !log.contains(FIRST_LINE) {
            return Err("the container was served by a gofer other than this one".to_owned());
        }
        if !written {
            return Err("the container succeeded, but what it wrote to a volume is missing".to_owned());
        }
        Ok(format!("a container ran in {:.2} s", outcome.elapsed.as_secs_f64()))
    }

    fn command(&self, options: Options<'_>) -> io::Result<Command> {
        let mut command = child::ours(&self.runsc)?;
        // A directory is one by its final slash.
        command.arg("--root").arg(self.bundle.state()).arg("--debug-log").arg(self.bundle.logs().join(""));
        command.args(["--platform", options.platform, "--network", options.network, "--ignore-cgroups"]);
        if let Some(directfs) = options.directfs {
            command.arg(format!("--directfs={directfs}"));
        }
        if !geteuid().is_root() {
            command.arg("--rootless");
        }
        command.arg("run").arg("--bundle").arg(self.bundle.path());
        // What is left of one that was killed must not stop the next one.
        let kind = if options.directfs.is_some() { "more" } else { "first" };
        let Options { platform, network, .. } = options;
        command.arg(format!("gofer-doctor-{}-{platform}-{network}-{kind}", std::process::id()));
        Ok(command)
    }

    /// Takes everything away that is left.
    pub(super) fn clean_up(self) -> io::Result<()> {
        self.bundle.clean_up()
    }
}

/// Why the gofer has ended, which runsc cannot tell.
fn fatal_error(log: &str) -> String {
    let fatal = log.lines().find_map(|line| line.split_once("FATAL ERROR: "));
    fatal.map(|(_, text)| format!("; the gofer says: {text}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gofer_has_the_last_word() {
        assert_eq!(fatal_error("I1121 1 x.rs:1] Serving\nW1121 1 x.rs:2] FATAL ERROR: no\n"), "; the gofer says: no");
        assert_eq!(fatal_error("I1121 1 x.rs:1] Serving\n"), "");
    }
}
