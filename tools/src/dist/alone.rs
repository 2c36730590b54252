//! Programs in a root directory in which nothing else is.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use e2e::{command, host, scratch};

/// How long each of them may take.
const LIMIT: Duration = Duration::from_secs(10);

/// Whether `names`, which are in `programs`, run without shared libraries.
pub(super) fn run(programs: &Path, names: &[&str]) -> Result<()> {
    if !host::is_root() {
        println!("SKIPPED: whether they run without shared libraries: an empty root directory needs root");
        return Ok(());
    }
    let root = scratch::disk()?;
    for name in names {
        let copy = root.path().join(name);
        fs::copy(programs.join(name), copy).with_context(|| format!("cannot copy {name}"))?;
        let mut alone = Command::new("chroot");
        alone.arg(root.path()).args([&format!("/{name}"), "--version"]);
        let said = command::succeed(&mut alone, LIMIT)?;
        if !said.starts_with(name) {
            bail!("{name} says of itself: {said}");
        }
    }
    println!("they run without shared libraries");
    Ok(())
}
