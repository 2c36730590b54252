//! `--auto-unmount`: a process that takes the mount away when the one that serves it dies, however that happens.

use std::ffi::OsString;
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use crate::mountpoint::remove_left_over;
use crate::mounts::mounted_on;
use crate::unmount::{is_dead, unmount_dead};

/// What says to this program that it is that process.
pub(super) const COMMAND: &str = "auto-unmount";

/// How long the kernel may take to end what a process had.
const LIMIT: Duration = Duration::from_secs(30);

/// How often to look.
const INTERVAL: Duration = Duration::from_millis(10);

/// The process that waits.
pub(super) struct Watcher(Child);

impl Watcher {
    /// Has the mount of the file system `device` on `path` taken away when this process dies.
    pub(super) fn start(path: &Path, device: &str) -> io::Result<Self> {
        let mut command = Command::new("/proc/self/exe");
        command.arg0("fusebridge").arg(COMMAND).arg(path).arg(device).current_dir("/");
        // What ends us is not to end it.
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null());
        Ok(Watcher(command.spawn()?))
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.0.stdin = None;
        // It has nothing to do any more.
        let _ = self.0.wait();
    }
}

/// Waits for the end of the process that has started this one, and takes its mount away.
pub(super) fn main(arguments: &[OsString]) -> ExitCode {
    let [path, device] = arguments else { return ExitCode::FAILURE };
    let path = Path::new(path);
    // Nothing is ever said there.
    let _ = io::stdin().read_to_end(&mut Vec::new());
    let is_there = || mounted_on(path).is_ok_and(|mounts| mounts.last().is_some_and(|last| *device == *last.device));
    let deadline = Instant::now() + LIMIT;
    // Its end comes to us before it comes to the mount.
    while is_there() && Instant::now() < deadline {
        if is_dead(path) {
            if unmount_dead(path).is_ok() {
                remove_left_over(path);
            }
            break;
        }
        std::thread::sleep(INTERVAL);
    }
    ExitCode::SUCCESS
}
