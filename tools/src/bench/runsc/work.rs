//! What containers do, and what their gofer needs for it.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result};
use e2e::sandbox::{Bundle, Runsc, Sandbox};
use e2e::volumes::VolumeServer;
use e2e::{command, process, sandbox, scratch};

use super::table::{Figure, Way};

/// How much is done.
#[derive(Clone, Copy)]
pub(super) struct Sizes {
    directories: u32,
    files_in_each: u32,
    new_files: u32,
    mebibytes: u32,
}

impl Sizes {
    /// The real measurement.
    pub(super) const FULL: Self = Self { directories: 200, files_in_each: 50, new_files: 3000, mebibytes: 1024 };
    /// A try.
    pub(super) const QUICK: Self = Self { directories: 5, files_in_each: 20, new_files: 100, mebibytes: 16 };
}

/// Measures one of them once.
pub(super) fn run(runsc: &Runsc, way: Way, sizes: Sizes) -> Result<Vec<Figure>> {
    let sandbox = super::sandbox(runsc, way)?;
    // In memory: it is the gofer that is measured, not the disk.
    let data = scratch::memory()?;
    fill(data.path(), sizes)?;
    let mut bundle = Bundle::busybox(&sandbox, "work")?.bind(data.path(), "/data", &[]).arguments(&["sleep", "10000"]);
    let server = super::volume_server(&sandbox, way, data.path())?;
    if server.is_some() {
        bundle = bundle.annotation("dev.gofer.backend./data", "volume:data");
    }
    sandbox.start(&bundle)?;
    let mut figures = memory(&sandbox, ["resident at first", "private at first"])?;

    let Sizes { new_files, mebibytes, .. } = sizes;
    let written = format!("mkdir /data/new; cd /data/new; for i in $(seq {new_files}); do echo $i > $i; done");
    let large = format!("dd if=/dev/zero of=/data/large bs=1M count={mebibytes}");
    let nothing = time(&sandbox, &bundle, "true")?;
    for (name, script) in [
        ("find", "find /data/tree -size +100000k | wc -l"),
        ("untar", "mkdir /data/out; tar x -f /data/tree.tar -C /data/out"),
        ("small files read", "find /data/tree -type f | xargs cat > /dev/null"),
        ("small files written", written.as_str()),
        ("large write", large.as_str()),
        ("large read", "dd if=/data/large of=/dev/null bs=1M"),
    ] {
        // Without what it takes to start a process in the container.
        let value = (time(&sandbox, &bundle, script)? - nothing).max(0.0);
        figures.push(Figure { name, unit: "ms", value });
    }
    figures.extend(memory(&sandbox, ["resident at last", "private at last"])?);
    sandbox.succeed(["delete", "--force", bundle.id()])?;
    sandbox.end()?;
    server.map_or(Ok(()), VolumeServer::stop)?;
    Ok(figures)
}

/// A tree of small files, and an archive of it.
fn fill(data: &Path, sizes: Sizes) -> Result<()> {
    for directory in 0..sizes.directories {
        let path = data.join(format!("tree/directory-{directory}"));
        fs::create_dir_all(&path)?;
        for file in 0..sizes.files_in_each {
            fs::write(path.join(format!("file-{file}")), "something small\n".repeat(64))?;
        }
    }
    command::succeed(Command::new("tar").args(["cf", "tree.tar", "tree"]).current_dir(data), sandbox::LIMIT)?;
    Ok(())
}

/// Milliseconds that a script takes in the container.
fn time(sandbox: &Sandbox, bundle: &Bundle, script: &str) -> Result<f64> {
    let start = Instant::now();
    sandbox.succeed(["exec", bundle.id(), "sh", "-euc", script]).with_context(|| script.to_owned())?;
    Ok(start.elapsed().as_secs_f64() * 1e3)
}

/// The memory of the gofer: all of it, and what no other process shares.
fn memory(sandbox: &Sandbox, names: [&'static str; 2]) -> Result<Vec<Figure>> {
    let gofer = *sandbox.processes("gofer")?.first().context("no gofer")?;
    let memory = process::memory(gofer)?;
    let mebibytes = |kib: u64| f64::from(u32::try_from(kib).unwrap_or(u32::MAX)) / 1024.0;
    let [all, private] = names;
    Ok(vec![
        Figure { name: all, unit: "MiB", value: mebibytes(memory.resident) },
        Figure { name: private, unit: "MiB", value: mebibytes(memory.private) },
    ])
}
