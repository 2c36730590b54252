//! The kernel's events, by an instance of tracefs of our own, which disturbs nobody else who traces.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::{command, scratch};
use tempfile::TempDir;

/// For mounting and unmounting.
const LIMIT: Duration = Duration::from_secs(10);

/// What is followed. The second part may be missing: kernels before 6.11 do not have it.
const SCHEDULER: [&str; 3] = ["sched/sched_switch", "sched/sched_waking", "sched/sched_wakeup"];
const FUSE: &str = "fuse/fuse_request_send";

/// Kilobytes for the events of each processor.
const BUFFER: u32 = 16384;

/// An instance, until dropped.
#[derive(Debug)]
pub(super) struct Tracer {
    instance: PathBuf,
    _mount: TraceFs,
}

/// tracefs, mounted where nobody else looks.
#[derive(Debug)]
struct TraceFs(TempDir);

impl Drop for TraceFs {
    fn drop(&mut self) {
        _ = command::run(Command::new("umount").arg(self.0.path()), LIMIT);
    }
}

/// Marks the beginnings of operations among the events.
#[derive(Debug)]
pub(super) struct Marker(File);

impl Marker {
    /// Sets a mark. What cannot be marked is missed when the events are counted.
    pub(super) fn set(&mut self) {
        _ = self.0.write_all(super::chain::MARK.as_bytes());
    }
}

impl Tracer {
    /// A new one. Needs root.
    pub(super) fn new() -> Result<Self> {
        let point = scratch::disk()?;
        command::succeed(Command::new("mount").args(["-t", "tracefs", "tracefs"]).arg(point.path()), LIMIT)?;
        let mount = TraceFs(point);
        let instance = mount.0.path().join(format!("instances/fusebridge-bench-{}", std::process::id()));
        fs::create_dir(&instance).context("no instance of tracefs can be made")?;
        let tracer = Self { instance, _mount: mount };
        tracer.write("buffer_size_kb", &BUFFER.to_string())?;
        // Threads that are started meanwhile, too.
        tracer.write("options/event-fork", "1")?;
        tracer.write("tracing_on", "0")?;
        for event in SCHEDULER {
            tracer.write(&format!("events/{event}/enable"), "1")?;
        }
        if tracer.has_requests() {
            tracer.write(&format!("events/{FUSE}/enable"), "1")?;
        }
        Ok(tracer)
    }

    /// Whether requests of FUSE are among the events.
    pub(super) fn has_requests(&self) -> bool {
        self.instance.join("events").join(FUSE).exists()
    }

    /// Does `work`, and gives the events of `threads`, and of those that they start, in the kernel's words.
    pub(super) fn follow(&self, threads: &[u32], work: impl FnOnce(&mut Marker) -> Result<()>) -> Result<String> {
        let threads: Vec<String> = threads.iter().map(u32::to_string).collect();
        self.write("set_event_pid", &threads.join(" "))?;
        let mut marker = Marker(File::options().write(true).open(self.instance.join("trace_marker"))?);
        // Opened for writing, it is emptied.
        self.write("trace", "")?;
        self.write("tracing_on", "1")?;
        let done = work(&mut marker);
        self.write("tracing_on", "0")?;
        done?;
        let events = fs::read(self.instance.join("trace")).context("the events")?;
        let events = String::from_utf8_lossy(&events).into_owned();
        self.check_losses()?;
        Ok(events)
    }

    fn check_losses(&self) -> Result<()> {
        for entry in fs::read_dir(self.instance.join("per_cpu"))? {
            let stats = fs::read_to_string(entry?.path().join("stats"))?;
            for key in ["overrun", "dropped events"] {
                let lost = stats.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
                let lost = lost.context("statistics of tracefs")?.trim();
                ensure!(lost == "0", "{lost} events are lost: {key}");
            }
        }
        Ok(())
    }

    fn write(&self, name: &str, value: &str) -> Result<()> {
        let path = self.instance.join(name);
        write(&path, value).with_context(|| format!("cannot write {value:?} to {}", path.display()))
    }
}

fn write(path: &Path, value: &str) -> std::io::Result<()> {
    File::options().write(true).truncate(true).open(path)?.write_all(value.as_bytes())
}

impl Drop for Tracer {
    fn drop(&mut self) {
        _ = self.write("tracing_on", "0");
        // Before its file system goes.
        if let Err(error) = fs::remove_dir(&self.instance) {
            eprintln!("{} stays: {error}", self.instance.display());
        }
    }
}
