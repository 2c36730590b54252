//! A `fusebridge mnt` process with its mount, taken down whatever happens.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::modes::{Access, Io, Transport};
use crate::ring::Switch;
use crate::{bins, command, host, process, scratch, wait};

/// For everything that takes milliseconds when all is well.
const LIMIT: Duration = Duration::from_secs(20);

/// `fusebridge mnt` with the options of one mode.
pub fn command(io: Io, access: Access) -> Result<Command> {
    Ok(command_of(&bins::fusebridge()?, io, access))
}

/// What [`command()`] is, of another `program`.
#[must_use]
pub fn command_of(program: &Path, io: Io, access: Access) -> Command {
    let mut command = Command::new(program);
    command.args(["mnt", "--io", io.word(), "--access", access.word()]);
    command
}

/// What [`command()`] is, with the server in a process of its own.
pub fn separate(io: Io, access: Access) -> Result<Command> {
    let mut command = command(io, access)?;
    command.args(["--server", "separate"]);
    Ok(command)
}

/// The backend that serves a host directory.
#[must_use]
pub fn backend(directory: &Path) -> std::ffi::OsString {
    let mut text = std::ffi::OsString::from("host:");
    text.push(directory);
    text
}

/// An empty directory to mount on. Whatever is mounted there goes before the directory does.
#[derive(Debug)]
pub struct Point(TempDir);

impl Point {
    /// A new one. On the disk, because tests hide `/dev` with the usual place for temporary files in memory.
    pub fn new() -> Result<Self> {
        scratch::disk().map(Self)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Point {
    fn drop(&mut self) {
        // Else the removal of the directory would begin with the files of the mount.
        while host::mounted(self.path()).is_ok_and(|kind| kind.is_some()) && lazy(self.path()).is_ok() {}
    }
}

/// Takes a mount away that may be in use or dead.
fn lazy(point: &Path) -> Result<()> {
    command::succeed(Command::new("umount").arg("--lazy").arg(point), LIMIT).map(drop)
}

/// A live mount. Dropping it unmounts and ends the process.
#[derive(Debug)]
pub struct Mount {
    child: Child,
    point: PathBuf,
    stderr: File,
}

impl Mount {
    /// Mounts a host directory in the given mode.
    pub fn host(directory: &Path, io: Io, access: Access) -> Result<Self> {
        Self::start(command(io, access)?.arg(backend(directory)))
    }

    /// Starts `command`, a `fusebridge mnt` in the foreground, and waits until it has said where it mounted.
    pub fn start(command: &mut Command) -> Result<Self> {
        let wants_ring = command.get_args().any(|argument| argument == Transport::Ring.word());
        let _switch = wants_ring.then(Switch::on).transpose()?;
        let stderr = tempfile::tempfile()?;
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(stderr.try_clone()?)
            .spawn()
            .with_context(|| format!("cannot start {command:?}"))?;
        let output = child.stdout.take().context("no pipe")?;
        let (send, receive) = mpsc::channel();
        // Reads on to the end: a bridge that prints more must not meet a closed pipe.
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                _ = send.send(line);
            }
        });
        // From here on Drop cleans up.
        let mut mount = Self { child, point: PathBuf::new(), stderr };
        match receive.recv_timeout(LIMIT) {
            Ok(line) => mount.point = PathBuf::from(line),
            Err(_) => bail!("{command:?} did not say where it mounted: {}", mount.warnings()),
        }
        if host::mounted(&mount.point)?.is_none() {
            bail!("{} is no mountpoint: {}", mount.point.display(), mount.warnings());
        }
        Ok(mount)
    }

    /// The mountpoint.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.point
    }

    /// The process of the bridge.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What the bridge wrote to its standard error output so far.
    pub fn warnings(&self) -> String {
        command::text(&self.stderr).unwrap_or_default()
    }

    /// What [`warnings`](Self::warnings) reads, for after the end of the mount.
    pub fn stderr(&self) -> Result<File> {
        Ok(self.stderr.try_clone()?)
    }

    /// [`unmount`](Self::unmount), and what the bridge wrote to its standard error output until then.
    pub fn unmount_and_hear(self) -> Result<String> {
        let stderr = self.stderr()?;
        self.unmount()?;
        command::text(&stderr)
    }

    /// Unmounts with `fusebridge umount` and checks that the process ends well and leaves no mount.
    pub fn unmount(self) -> Result<()> {
        self.umount_command()?;
        self.ended_well()
    }

    /// Waits for the end of the process, which must be a success and leave no mount.
    pub fn ended_well(mut self) -> Result<()> {
        let status = command::exit_status(&mut self.child, LIMIT)?;
        if !status.success() {
            bail!("the bridge ended with {status}: {}", self.warnings());
        }
        if host::mounted(&self.point)?.is_some() {
            bail!("{} is still mounted", self.point.display());
        }
        Ok(())
    }

    /// Waits for the end of the process, however it ends.
    pub fn ended(&mut self) -> Result<std::process::ExitStatus> {
        command::exit_status(&mut self.child, LIMIT)
    }

    /// Runs `fusebridge umount`, which must succeed.
    pub fn umount_command(&self) -> Result<()> {
        let umount: [&OsStr; 2] = ["umount".as_ref(), self.point.as_os_str()];
        command::succeed(Command::new(bins::fusebridge()?).args(umount), LIMIT)?;
        Ok(())
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let named = !self.point.as_os_str().is_empty();
        if named && host::mounted(&self.point).is_ok_and(|kind| kind.is_some()) {
            // Lazy: a test that failed may still have files open.
            _ = lazy(&self.point);
        }
        let ended = wait::until("the bridge", Duration::from_secs(5), || !matches!(self.child.try_wait(), Ok(None)));
        if ended.is_err() {
            for pid in process::family(self.child.id()).unwrap_or_default() {
                process::kill(pid);
            }
            _ = self.child.wait();
        }
    }
}
