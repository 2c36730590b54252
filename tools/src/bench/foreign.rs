//! Mounts of other programs.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use e2e::mount::Point;
use e2e::{command, host, process, wait};

/// How long a program may take to mount.
const LIMIT: Duration = Duration::from_secs(20);
/// How long it may take to end: some send what they still have.
const LAST_UPLOADS: Duration = Duration::from_secs(300);

/// A mount of a program that stays in the foreground.
pub(crate) struct Foreign {
    // The mount goes before its process is waited for.
    point: Point,
    child: Child,
}

impl Foreign {
    /// Runs the command that `command` makes for a mountpoint, and waits for the mount.
    pub(crate) fn mount(command: impl FnOnce(&Path) -> Command) -> Result<Self> {
        let point = Point::new()?;
        let mut command = command(point.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
        let mount = Self { point, child };
        let is_there = || host::mounted(mount.path()).is_ok_and(|kind| kind.is_some());
        wait::until("a mount", LIMIT, is_there).with_context(|| format!("{command:?}"))?;
        Ok(mount)
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        self.point.path()
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Unmounts, and waits for the end of the process.
    pub(crate) fn leave(mut self) -> Result<()> {
        command::succeed(Command::new("fusermount3").arg("-u").arg(self.point.path()), LIMIT)?;
        command::exit_status(&mut self.child, LAST_UPLOADS).map(drop)
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            process::kill(self.child.id());
            _ = self.child.wait();
        }
    }
}
