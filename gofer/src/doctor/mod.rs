//! Whether containers can run on this machine, and what is missing if not.
//!
//! What can be tried is tried, most of all a whole container: versions of kernels, distributions and configurations are
//! only looked at to say what to do. Nothing that is started, mounted or written for it outlives the examination.

mod child;
mod finding;
mod fuse;
mod kernel;
mod limits;
mod namespaces;
mod program;
mod raw;
mod runsc;
mod search;
mod trial;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

pub use finding::{Finding, Level};

use self::child::Timeout;

/// What mounting needs, for programs that go on to try it: by itself, this tries nothing.
#[must_use]
pub fn for_mounts() -> Vec<Finding> {
    let mut findings = fuse::for_mounts();
    findings.push(limits::check());
    findings
}

/// Examines this machine and tells `report` each finding as soon as it is there. Returns whether containers can run.
///
/// `runsc` is the one to look at instead of what the machine is configured for; no step takes longer than `time_limit`,
/// and `progress` hears of those that may take long.
/// The process must be the program `gofer` itself, with nothing else going on in it: all its children are ended. Fails
/// if somebody stops it by a signal.
pub(crate) fn examine(
    runsc: Option<PathBuf>,
    time_limit: Duration,
    progress: fn(&str),
    mut report: impl FnMut(&Finding),
) -> std::io::Result<bool> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, stop.clone())?;
    }
    let timeout = Timeout { time_limit, stop, progress };
    let mut can_run = true;
    let mut tell = |findings: Vec<Finding>| {
        for finding in &findings {
            can_run &= finding.level != Level::Missing;
            report(finding);
        }
    };
    tell(vec![program::check()]);
    tell(kernel::check());
    tell(namespaces::check());
    tell(fuse::check());
    tell(vec![limits::check()]);
    let (found, finding) = runsc::check(runsc, &timeout);
    tell(vec![finding]);
    if let Some(runsc) = found {
        trial::check(&runsc, &timeout, &mut tell);
    }
    if timeout.is_over() {
        return Err(std::io::Error::other(child::STOPPED));
    }
    Ok(can_run)
}
