//! What the process needs to be before it serves host files.

use std::io;
use std::sync::Arc;

use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit, umask};

/// Descriptors that are not for clients: sockets, packet windows, the log.
const RESERVED: u64 = 64;

/// Prepares the process, and answers how many descriptors it has for the files of its clients.
pub(super) fn prepare() -> io::Result<usize> {
    // Clients send modes ready made.
    umask(Mode::empty());
    // A write beyond RLIMIT_FSIZE is to fail, not to end the process: any handler prevents that.
    signal_hook::flag::register(libc::SIGXFSZ, Arc::default())?;
    Ok(usize::try_from(raise_nofile().saturating_sub(RESERVED)).unwrap_or(usize::MAX))
}

/// Raises the number of descriptors as far as it goes.
fn raise_nofile() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum.unwrap_or(u64::MAX),
        Err(error) => {
            tracing::info!(%error, "cannot raise the number of open files");
            limit.current.unwrap_or(u64::MAX)
        }
    }
}
