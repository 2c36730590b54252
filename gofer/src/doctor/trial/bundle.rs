//! The bundle of the container on trial.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{StatVfsMountFlags, statvfs};
use serde_json::json;
use tempfile::TempDir;

use super::machine_code::{Machine, writes_a_file};

/// What the container writes, and where.
const TEXT: &str = "written in a container\n";
const FILE: &str = "file";

/// A directory with all that a container needs and makes.
#[derive(Debug)]
pub(super) struct Bundle {
    directory: TempDir,
}

impl Bundle {
    /// A new one.
    pub(super) fn new() -> io::Result<Self> {
        let bundle = Bundle { directory: directory()? };
        let rootfs = bundle.path().join("rootfs");
        // The first is a mount point.
        for made in [rootfs.join("out"), bundle.volume(), bundle.state(), bundle.logs()] {
            fs::create_dir_all(made)?;
        }
        let machine = Machine::here().ok_or_else(|| io::Error::other("runsc does not support this processor"))?;
        let program = rootfs.join("program");
        fs::write(&program, writes_a_file(machine, &format!("/out/{FILE}"), TEXT))?;
        fs::set_permissions(&program, Permissions::from_mode(0o755))?;
        fs::write(bundle.path().join("config.json"), bundle.spec().to_string())?;
        Ok(bundle)
    }

    fn spec(&self) -> serde_json::Value {
        let namespaces = ["pid", "mount", "network", "ipc", "uts"].map(|kind| json!({"type": kind}));
        json!({
            "ociVersion": "1.0.2",
            "process": {"args": ["/program"], "cwd": "/", "user": {"uid": 0, "gid": 0}},
            "root": {"path": "rootfs", "readonly": true},
            "mounts": [{"destination": "/out", "type": "bind", "source": self.volume(), "options": ["rbind", "rw"]}],
            "linux": {"namespaces": namespaces},
        })
    }

    pub(super) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The directory that the container writes to.
    fn volume(&self) -> PathBuf {
        self.path().join("out")
    }

    /// runsc's own directory.
    pub(super) fn state(&self) -> PathBuf {
        self.path().join("state")
    }

    /// The directory for logs.
    pub(super) fn logs(&self) -> PathBuf {
        self.path().join("logs")
    }

    /// Whether the container has written what it should. Forgets that, and all logs.
    pub(super) fn take_result(&self) -> io::Result<bool> {
        let file = self.volume().join(FILE);
        let written = match fs::read_to_string(&file) {
            Ok(text) => text == TEXT,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        fs::remove_file(&file)?;
        Ok(written)
    }

    /// The log of the gofer, if there is one. Takes all logs away.
    pub(super) fn take_gofer_log(&self) -> io::Result<String> {
        let mut found = String::new();
        for entry in fs::read_dir(self.logs())? {
            let path = entry?.path();
            if path.to_string_lossy().contains(".gofer.") {
                found += &String::from_utf8_lossy(&fs::read(&path)?);
            }
            fs::remove_file(&path)?;
        }
        Ok(found)
    }

    /// Takes everything away.
    pub(super) fn clean_up(self) -> io::Result<()> {
        self.unmount();
        if self.has_mounts() {
            let path = self.path().display();
            return Err(io::Error::other(format!(
                "something is still mounted in {path}; unmount it and remove the directory"
            )));
        }
        fs::remove_dir_all(self.path())
    }

    /// Whether something is mounted in it, which would be emptied with it.
    fn has_mounts(&self) -> bool {
        let inside = format!(" {}/", self.path().display());
        // If that cannot be known, it is not risked.
        fs::read_to_string("/proc/self/mountinfo").map_or(true, |table| table.contains(&inside))
    }

    /// runsc pins network namespaces by mounts in its own directory, and leaves them there.
    fn unmount(&self) {
        let Ok(entries) = fs::read_dir(self.state()) else { return };
        for entry in entries.flatten() {
            use nix::mount::{MntFlags, umount2};
            // Most are no mounts, and an ordinary user has none.
            _ = umount2(&entry.path(), MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW);
        }
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        // Else the directory cannot be removed.
        self.unmount();
        if self.has_mounts() {
            self.directory.disable_cleanup(true);
        }
    }
}

/// A new directory from which programs can be executed.
fn directory() -> io::Result<TempDir> {
    let executable =
        |path: &PathBuf| statvfs(path).is_ok_and(|found| !found.f_flag.contains(StatVfsMountFlags::NOEXEC));
    let temporary = std::env::temp_dir();
    let candidates = [temporary.clone(), "/var/tmp".into(), "/run".into()];
    let parent = candidates.into_iter().find(executable).unwrap_or(temporary);
    tempfile::Builder::new().prefix("gofer-doctor-").tempdir_in(parent)
}
