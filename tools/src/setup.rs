//! `cargo xtask setup`: installs what the tests need. Does nothing, quickly, where all is there.

use std::env;
use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use ::conform::tool;
use anyhow::{Context, Result, bail};
use e2e::engines::{Engines, Set};
use e2e::{host, s3};

use crate::shell;

/// A Debian package and the program by which its presence is told.
struct Package {
    name: &'static str,
    program: &'static str,
}

const PACKAGES: [Package; 15] = [
    Package { name: "acl", program: "setfacl" },
    Package { name: "attr", program: "setfattr" },
    Package { name: "bindfs", program: "bindfs" },
    Package { name: "busybox-static", program: "busybox" },
    Package { name: "diffutils", program: "diff" },
    Package { name: "findutils", program: "find" },
    Package { name: "fuse3", program: "fusermount3" },
    Package { name: "gcc", program: "cc" },
    Package { name: "git", program: "git" },
    Package { name: "gocryptfs", program: "gocryptfs" },
    Package { name: "mmdebstrap", program: "mmdebstrap" },
    Package { name: "runsc", program: "runsc" },
    Package { name: "sqlite3", program: "sqlite3" },
    Package { name: "util-linux", program: "setpriv" },
    Package { name: "virtualenv", program: "virtualenv" },
];

/// Fails, and says what to do, if something is missing that only root can install.
pub(crate) fn check() -> Result<()> {
    let missing = missing();
    if missing.is_empty() || host::is_root() {
        return Ok(());
    }
    bail!("missing Debian packages; as root run: apt-get install --no-install-recommends {}", missing.join(" "));
}

/// Installs everything that is missing.
pub(crate) fn run() -> Result<()> {
    check()?;
    packages()?;
    for tool in tool::ALL {
        tool.install()?;
    }
    s3::install()?;
    if host::is_root() {
        Engines::install(Set::Docker)?;
    }
    device()
}

fn missing() -> Vec<&'static str> {
    PACKAGES.iter().filter(|package| !on_path(package.program)).map(|package| package.name).collect()
}

fn packages() -> Result<()> {
    let missing = missing();
    if missing.is_empty() {
        return Ok(());
    }
    let apt = || {
        let mut apt = Command::new("apt-get");
        apt.env("DEBIAN_FRONTEND", "noninteractive").arg("--quiet");
        apt
    };
    shell::succeed(apt().arg("update"))?;
    shell::succeed(apt().args(["install", "--yes", "--no-install-recommends"]).args(missing))
}

/// Checks that FUSE can be used here.
fn device() -> Result<()> {
    let device = Path::new("/dev/fuse");
    let Ok(metadata) = fs::metadata(device) else {
        bail!(
            "/dev/fuse is missing: load the kernel module with `modprobe fuse`, or pass the device into the container"
        );
    };
    if !metadata.file_type().is_char_device() {
        bail!("/dev/fuse is not a device");
    }
    let mode = metadata.permissions().mode();
    if mode & 0o666 == 0o666 {
        return Ok(());
    }
    if !host::is_root() {
        bail!("/dev/fuse is not open to all users; as root run: chmod 666 /dev/fuse");
    }
    // What the rule of the package fuse3 does where udev runs. It is safe: the kernel checks who mounts.
    eprintln!("+ chmod 666 /dev/fuse");
    fs::set_permissions(device, fs::Permissions::from_mode(0o666)).context("cannot open /dev/fuse to all users")
}

fn on_path(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    // An ordinary user's path may lack the directories for root.
    let more = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    env::split_paths(&path).chain(more).any(|directory| directory.join(program).is_file())
}
