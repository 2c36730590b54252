//! Whether programs run where there is nothing else: no library, no shell, no account.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use e2e::{host, scratch};

use crate::shell;

/// What is run in a root that has the programs, and devices and processes of the host: a file system is mounted, served
/// by another process, and tested.
const CONFORM: [&str; 6] = ["/fusebridge", "conform", "--suite", "mount", "--server", "separate"];

/// Tries `fusebridge`, `gofer` and `gofer-volumes` of `programs`.
pub(super) fn attempt(programs: &Path) -> Result<()> {
    if !host::is_root() {
        eprintln!("xtask: not tried in an empty root, which only root can enter");
        return Ok(());
    }
    let root = scratch::disk()?;
    for name in ["fusebridge", "gofer", "gofer-volumes"] {
        fs::copy(programs.join(name), root.path().join(name)).with_context(|| format!("cannot copy {name}"))?;
        let version = Command::new("chroot").arg(root.path()).args([&format!("/{name}"), "--version"]).output()?;
        if !version.status.success() {
            bail!("{name} does not run alone: {}", String::from_utf8_lossy(&version.stderr).trim());
        }
    }
    for name in ["dev", "proc", "tmp"] {
        fs::create_dir(root.path().join(name))?;
    }
    // What is mounted is gone with the last process in the namespace.
    let script = r#"set -eu
        cd "$0"; mount --rbind /dev dev; mount -t proc proc proc; mount -t tmpfs tmpfs tmp
        exec chroot . "$@""#;
    let mut tried = Command::new("unshare");
    tried.args(["--mount", "sh", "-c", script]).arg(root.path()).args(CONFORM).arg("mem:");
    shell::succeed(&mut tried)
}
