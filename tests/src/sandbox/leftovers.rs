//! What containers must not leave behind.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::{host, process, wait};

/// How long processes that have nothing to do any more may take to end.
const TIMEOUT: Duration = Duration::from_secs(30);

/// An empty network namespace, which runsc keeps in its state directory for all gofers to come.
const KEPT: &str = "null-netns";

/// The processes of the sandbox at `scratch` whose name in the process table is `name`, or all for an empty name.
pub(super) fn processes(scratch: &Path, name: &str) -> Result<Vec<u32>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let entry = entry?;
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // It may have ended since.
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let ours = line.windows(scratch.as_os_str().len()).any(|part| part == scratch.as_os_str().as_bytes());
        if ours && line.starts_with(name.as_bytes()) && pid != std::process::id() {
            found.push(pid);
        }
    }
    Ok(found)
}

/// Fails if anything is left of the containers at `scratch`.
pub(super) fn none(scratch: &Path) -> Result<()> {
    let gone = || processes(scratch, "").is_ok_and(|processes| processes.is_empty());
    wait::until("the end of all processes", TIMEOUT, gone)?;
    let below: Vec<_> = host::mounts()?
        .into_iter()
        .map(|(point, _)| point)
        .filter(|point| point.starts_with(scratch) && !point.ends_with(KEPT))
        .collect();
    if !below.is_empty() {
        bail!("still mounted: {below:?}");
    }
    for entry in fs::read_dir(scratch.join("state"))? {
        let name = entry?.file_name();
        if name != KEPT {
            bail!("runsc's state of {} is still there", name.display());
        }
    }
    Ok(())
}

/// Kills and unmounts what is left.
pub(super) fn remove(scratch: &Path) {
    processes(scratch, "").unwrap_or_default().into_iter().for_each(process::kill);
    for (point, _) in host::mounts().unwrap_or_default() {
        if point.starts_with(scratch) {
            _ = rustix::mount::unmount(&point, rustix::mount::UnmountFlags::DETACH);
        }
    }
}
