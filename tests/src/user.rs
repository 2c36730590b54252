//! Doing things as an ordinary user.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::fs::{Gid, Uid};
use tempfile::TempDir;

use crate::{bins, command, scratch};

/// The user whom every Debian system has and who owns nothing.
pub const NAME: &str = "nobody";
/// That user's number.
pub const UID: u32 = 65534;

/// Longer than it takes to copy a program.
const LIMIT: Duration = Duration::from_secs(60);

/// `command` as the ordinary user, without capabilities and supplementary groups. Needs root.
#[must_use]
pub fn as_user(command: &Command) -> Command {
    let mut user = Command::new("setpriv");
    user.args(["--reuid", NAME, "--regid", "nogroup", "--clear-groups", "--inh-caps=-all"]);
    user.args(["env", "HOME=/nonexistent"]).arg(command.get_program()).args(command.get_args());
    if let Some(directory) = command.get_current_dir() {
        user.current_dir(directory);
    }
    user
}

/// A directory with copies of our programs that the ordinary user can reach. The originals are often below somebody's
/// closed home directory.
pub fn programs() -> Result<TempDir> {
    let directory = scratch::open_to_all()?;
    for program in [bins::fusebridge()?, bins::gofer()?] {
        // By a process of its own: a child that another test starts now would have a file that we write to open for a
        // moment, and what somebody may still write to cannot be run.
        let mut copy = Command::new("install");
        copy.args(["-m", "755", "-t"]).arg(directory.path()).arg(&program);
        command::succeed(&mut copy, LIMIT)?;
    }
    Ok(directory)
}

/// Gives a file to the ordinary user. Needs root.
pub fn give(path: &Path) -> Result<()> {
    let (uid, gid) = (Uid::from_raw(UID), Gid::from_raw(UID));
    rustix::fs::chown(path, Some(uid), Some(gid)).with_context(|| format!("cannot give away {}", path.display()))
}
