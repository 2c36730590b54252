//! Root file systems.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::command;

/// Of Debian's package `busybox-static`.
const BUSYBOX: &str = "/bin/busybox";

/// Makes a root file system of busybox alone in the empty directory `root`.
pub(super) fn busybox(root: &Path) -> Result<()> {
    skeleton(root, &["bin"])?;
    fs::copy(BUSYBOX, root.join("bin/busybox")).with_context(|| format!("{BUSYBOX}: run `cargo xtask setup`"))?;
    let applets = command::succeed(Command::new(BUSYBOX).arg("--list"), Duration::from_secs(10))?;
    for applet in applets.lines().filter(|&applet| applet != "busybox") {
        symlink("busybox", root.join("bin").join(applet))?;
    }
    Ok(())
}

/// Makes a root file system for the host's programs in the empty directory `root`. They are in `/usr`, which is to be
/// mounted.
pub(super) fn host(root: &Path) -> Result<()> {
    skeleton(root, &["usr", "var"])?;
    for directory in ["bin", "sbin", "lib", "lib64"] {
        symlink(Path::new("usr").join(directory), root.join(directory))?;
    }
    Ok(())
}

fn skeleton(root: &Path, more: &[&str]) -> Result<()> {
    for directory in ["dev", "etc", "home", "proc", "sys", "tmp"].iter().chain(more) {
        fs::create_dir(root.join(directory))?;
    }
    Ok(())
}
