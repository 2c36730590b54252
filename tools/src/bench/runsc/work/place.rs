//! A container in which work is done.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use e2e::modes::Access;
use e2e::sandbox::{self, Bundle, Runsc, Sandbox};
use e2e::volumes::VolumeServer;
use e2e::{command, process, scratch};
use tempfile::TempDir;

use super::kinds::Row;
use super::messages::{Counts, Log};
use super::shell::Shell;
use super::table::Turn;
use crate::bench::busy::Busy;
use crate::bench::runsc;
use crate::bench::runsc::table::{Figure, Way};
use crate::bench::usage::Usages;

/// A running container.
pub(super) struct Place {
    pub(super) way: Way,
    shell: Shell,
    bundle: Bundle,
    log: Option<Log>,
    /// Those that serve.
    servers: Vec<u32>,
    /// The first process of the sandbox.
    sentry: u32,
    sandbox: Sandbox,
    server: Option<VolumeServer>,
    _data: TempDir,
}

/// How a container is started.
#[derive(Clone, Copy)]
pub(super) struct Setting<'a> {
    pub(super) runsc: &'a Runsc,
    pub(super) access: Access,
    /// What it works on.
    pub(super) files: &'a Path,
    /// Whether the sandbox tells in a log what it sends.
    pub(super) logs: bool,
}

impl Place {
    /// Starts one with its own copy of the files.
    pub(super) fn start(setting: Setting<'_>, way: Way) -> Result<Self> {
        // In memory: it is the gofer that is measured, not the disk.
        let data = scratch::memory()?;
        let mut copy = Command::new("cp");
        command::succeed(copy.arg("-a").arg(setting.files.join(".")).arg(data.path()), sandbox::LIMIT)?;
        let sandbox = runsc::sandbox(setting.runsc, way)?;
        let sandbox = sandbox.with_flags(&[&format!("--file-access-mounts={}", setting.access.word())]);
        let logs = sandbox.path().join("logs/");
        let sandbox = if setting.logs {
            fs::create_dir(&logs)?;
            sandbox.with_flags(&["--debug", &format!("--debug-log={}", logs.display())])
        } else {
            sandbox
        };
        let mut bundle = Bundle::busybox(&sandbox, "work")?.bind(data.path(), "/data", &[]);
        for directory in ["lib", "lib64"] {
            symlink(Path::new("usr").join(directory), bundle.root().join(directory))?;
        }
        // For programs that busybox does not have.
        bundle = bundle.bind(Path::new("/usr"), "/usr", &["ro"]).arguments(&["sleep", "100000"]);
        let server = runsc::volume_server(&sandbox, way, data.path())?;
        if server.is_some() {
            bundle = bundle.annotation("dev.gofer.backend./data", "volume:data");
        }
        sandbox.start(&bundle)?;
        let shell = Shell::start(&sandbox, &bundle)?;
        let log = if setting.logs { Some(Log::find(&logs)?) } else { None };
        let gofer = *sandbox.processes("gofer")?.first().context("no gofer")?;
        let sentry = *sandbox.processes("sandbox")?.first().context("no sandbox")?;
        let servers = std::iter::once(gofer).chain(server.as_ref().map(VolumeServer::pid)).collect();
        Ok(Self { way, shell, bundle, log, servers, sentry, sandbox, server, _data: data })
    }

    /// Does the work of a row, and says what it took.
    pub(super) fn measure(&mut self, row: &Row, busy: usize) -> Result<Result<Turn, String>> {
        let busy = Busy::start(busy)?;
        busy.are_under_way()?;
        let before = self.usages()?;
        let done = self.shell.run(&row.script)?;
        let after = self.usages()?;
        drop(busy);
        self.clean(row)?;
        let [servers, sentry] = [0, 1].map(|side| after[side].since(&before[side]));
        Ok(done.map(|time| Turn { time, servers, sentry }))
    }

    /// Does the work of a row, and says which messages that took.
    pub(super) fn count(&mut self, row: &Row) -> Result<Result<Counts, String>> {
        let log = self.log.as_mut().context("no log is written")?;
        log.count()?;
        let done = self.shell.run(&row.script)?;
        let counts = log.count()?;
        self.clean(row)?;
        Ok(done.map(|_| counts))
    }

    fn clean(&mut self, row: &Row) -> Result<()> {
        self.shell.run(row.afterwards)?.map(drop).map_err(anyhow::Error::msg)
    }

    /// What those that serve and the sandbox have used.
    fn usages(&self) -> Result<[Usages; 2]> {
        Ok([Usages::of_processes(&self.servers), Usages::of_processes(&process::family(self.sentry)?)])
    }

    /// The memory of the gofer: all of it, and what no other process shares.
    pub(super) fn memory(&self, names: [&'static str; 2]) -> Result<Vec<Figure>> {
        let gofer = *self.servers.first().context("no gofer")?;
        let memory = process::memory(gofer)?;
        let mebibytes = |kib: u64| f64::from(u32::try_from(kib).unwrap_or(u32::MAX)) / 1024.0;
        let [all, private] = names;
        Ok(vec![
            Figure { name: all, unit: "MiB", value: mebibytes(memory.resident) },
            Figure { name: private, unit: "MiB", value: mebibytes(memory.private) },
        ])
    }

    /// Ends it.
    pub(super) fn end(self) -> Result<()> {
        self.shell.end()?;
        self.sandbox.succeed(["delete", "--force", self.bundle.id()])?;
        self.sandbox.end()?;
        self.server.map_or(Ok(()), VolumeServer::stop)
    }
}
