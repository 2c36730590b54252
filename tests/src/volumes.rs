//! Volume servers.

use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::{bins, command, process, scratch, wait};

/// How long a server may take to start or to end.
pub const LIMIT: Duration = Duration::from_secs(30);

/// A `gofer-volumes serve`.
#[derive(Debug)]
pub struct VolumeServer {
    child: Child,
    scratch: TempDir,
}

impl VolumeServer {
    /// Serves `volumes`, the lines of the file's table of that name.
    pub fn start(volumes: &str) -> Result<Self> {
        Self::with("", volumes)
    }

    /// The same with `settings`, the lines before that table.
    pub fn with(settings: &str, volumes: &str) -> Result<Self> {
        Self::launch(&[], settings, volumes, |_| {})
    }

    /// The same with more on its command line.
    pub fn with_flags(flags: &[OsString], volumes: &str) -> Result<Self> {
        Self::launch(flags, "", volumes, |_| {})
    }

    /// The same with what `prepare` adds to its environment.
    pub fn in_environment(volumes: &str, prepare: impl FnOnce(&mut Command)) -> Result<Self> {
        Self::launch(&[], "", volumes, prepare)
    }

    /// The same in a session of its own, as a service has it: among sessions, the kernel shares the processors out equally
    /// (`sched_autogroup_enabled`), and that of a container has its own share, too.
    pub fn in_session(volumes: &str) -> Result<Self> {
        let mut program = Command::new("setsid");
        program.arg(bins::volumes()?);
        Self::launch_as(program, &[], "", volumes)
    }

    fn launch(flags: &[OsString], settings: &str, volumes: &str, prepare: impl FnOnce(&mut Command)) -> Result<Self> {
        let mut program = Command::new(bins::volumes()?);
        prepare(&mut program);
        Self::launch_as(program, flags, settings, volumes)
    }

    fn launch_as(mut program: Command, flags: &[OsString], settings: &str, volumes: &str) -> Result<Self> {
        let scratch = scratch::disk()?;
        let socket = scratch.path().join("s");
        fs::write(
            scratch.path().join("volumes.toml"),
            format!("socket = {:?}\n{settings}\n[volumes]\n{volumes}\n", socket.display().to_string()),
        )?;
        let log = File::options().create(true).append(true).open(scratch.path().join("log"))?;
        program.arg("serve").args(flags).arg(scratch.path().join("volumes.toml"));
        let child = program.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn()?;
        let mut server = Self { child, scratch };
        let listens = wait::until("the server listens", LIMIT, || UnixStream::connect(&socket).is_ok());
        if listens.is_err() && server.child.try_wait()?.is_some() {
            bail!("the server has ended: {}", server.log()?);
        }
        listens.map(|()| server)
    }

    /// Its socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.scratch.path().join("s")
    }

    /// Its configuration.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        self.scratch.path().join("volumes.toml")
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What people and `gofer serve` call its volume `name`.
    #[must_use]
    pub fn backend(&self, name: &str) -> String {
        format!("volume:{}#{name}", self.socket().display())
    }

    /// What it reported.
    pub fn log(&self) -> Result<String> {
        Ok(fs::read_to_string(self.scratch.path().join("log"))?)
    }

    /// Who is connected.
    pub fn connected(&self) -> Result<Vec<Value>> {
        let mut status = Command::new(bins::volumes()?);
        let text = command::succeed(status.args(["status", "--json", "--socket"]).arg(self.socket()), LIMIT)?;
        let status: Value = serde_json::from_str(&text)?;
        status["connections"].as_array().cloned().context("no connections")
    }

    /// Waits until nobody is connected.
    pub fn is_left(&self) -> Result<()> {
        wait::until("the last connection ends", LIMIT, || self.connected().is_ok_and(|connected| connected.is_empty()))
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        process::signal(self.pid(), signal);
    }

    /// Waits for its end.
    pub fn ended(&mut self) -> Result<ExitStatus> {
        command::exit_status(&mut self.child, LIMIT)
    }

    /// Has it end, which it must do well.
    pub fn stop(mut self) -> Result<()> {
        self.signal(Signal::TERM);
        let status = self.ended()?;
        if !status.success() || self.socket().exists() {
            bail!("the server ended with {status}: {}", self.log()?);
        }
        Ok(())
    }
}

impl Drop for VolumeServer {
    fn drop(&mut self) {
        // Only of stories that have failed it is still there.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What `/etc/gofer/runtime.json` says if each of `names` is a volume at `socket`.
#[must_use]
pub fn configuration(socket: &Path, names: &[&str]) -> String {
    let volume = serde_json::json!({"socket": socket, "time_limit": 2});
    let volumes: serde_json::Map<_, _> = names.iter().map(|name| ((*name).to_owned(), volume.clone())).collect();
    serde_json::json!({ "volumes": volumes }).to_string()
}
