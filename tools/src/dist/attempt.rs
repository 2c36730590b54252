//! Packages in a fresh Debian, of which nothing is left.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use e2e::{command, host, scratch};

use crate::shell;

/// The release of Debian on which packages are tried.
const SUITE: &str = "bookworm";

/// What the packages depend on and recommend, and what the story needs. There is no network when they are installed.
const NEEDED: &str = "bash-completion,fuse3,man-db,mount,systemd,util-linux";

/// Starts systemd as process 1 in a root directory.
const ENTER: &str = include_str!("enter.sh");
/// What is done with the packages.
const STORY: &str = include_str!("story.sh");

/// How long that may take.
const LIMIT: Duration = Duration::from_secs(300);

/// Installs, uses and removes the packages in `debs`.
pub(super) fn run(debs: &Path) -> Result<()> {
    if !host::is_root() {
        bail!("--try-deb needs root");
    }
    let scratch = scratch::disk()?;
    // For apt's own user.
    fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o755))?;
    let root = scratch.path().join("root");
    let mut mmdebstrap = Command::new("mmdebstrap");
    mmdebstrap.args(["--quiet", "--variant=apt", "--include", NEEDED, SUITE]).arg(&root);
    shell::succeed(mmdebstrap.arg("http://deb.debian.org/debian"))?;
    let play = root.join("play");
    fs::create_dir(&play)?;
    for entry in fs::read_dir(debs)? {
        let entry = entry?;
        fs::copy(entry.path(), play.join(entry.file_name()))?;
    }
    fs::write(play.join("story"), STORY)?;
    let enter = scratch.path().join("enter");
    fs::write(&enter, ENTER)?;
    let mut systemd = Command::new("sh");
    systemd.arg(&enter).arg(&root);
    let outcome = command::run(&mut systemd, LIMIT)?;
    let log = fs::read_to_string(play.join("log")).unwrap_or_default();
    if !outcome.status.success() {
        bail!("the packages do not work\n{}\n{log}", outcome.describe());
    }
    log.ends_with("+ echo done\ndone\n").then_some(()).with_context(|| format!("the story has no end\n{log}"))?;
    println!("the packages can be installed, used and removed");
    Ok(())
}
