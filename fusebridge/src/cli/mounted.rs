//! Commands about what is mounted: `fusebridge stats` and `fusebridge umount`.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use super::Failure;
use crate::mountpoint::remove_left_over;
use crate::mounts::{TableEntry, mounted_on};
use crate::statistics;
use crate::unmount::{Unmounted, place, unmount};

/// Prints what the process of a mount counts.
pub(super) fn stats(mountpoint: &Path, prometheus: bool) -> Result<ExitCode, Failure> {
    let path = place(mountpoint);
    let Some(mount) = mounted_on(&path)?.pop().filter(TableEntry::is_own) else {
        return Err(format!("{} is no mount of fusebridge", mountpoint.display()).into());
    };
    let figures = statistics::ask(&mount.device, if prometheus { "/metrics" } else { "/stats" });
    let figures = figures.map_err(|error| {
        let path = path.display();
        format!("cannot ask the process that serves {path}: {error}; only its user can, and only while it is alive")
    })?;
    std::io::stdout().write_all(figures.as_bytes()).map_err(|error| super::no_stdout(&error))?;
    Ok(ExitCode::SUCCESS)
}

/// Takes a mount away, whatever state it is in.
pub(super) fn umount(mountpoint: &Path) -> Result<ExitCode, Failure> {
    let place = place(mountpoint);
    if unmount(mountpoint)? == Unmounted::Detached {
        eprintln!(
            "fusebridge: {} is still in use; it was detached, and is gone once nobody uses it",
            mountpoint.display()
        );
    }
    remove_left_over(&place);
    Ok(ExitCode::SUCCESS)
}
