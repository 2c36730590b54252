//! What the process needs to be before it serves host files.

use std::io;
use std::sync::Arc;

use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit, umask};

use crate::backend::Options;

/// Descriptors that are not for clients: sockets, packet windows, the log.
const RESERVED: u64 = 64;

/// Lets the process open as many files as it may in all, and answers how many.
pub(crate) fn raise_descriptors() -> u64 {
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

/// How many of `descriptors` are for the files of clients. Where the process may have any number, they may not: each takes
/// memory of the kernel.
pub(crate) fn for_clients(descriptors: u64) -> usize {
    usize::try_from(descriptors.saturating_sub(RESERVED)).unwrap_or(usize::MAX).min(Options::default().max_fds)
}

/// Makes a write beyond `RLIMIT_FSIZE` fail instead of ending the process: any handler prevents that.
pub(crate) fn survive_large_writes() -> io::Result<()> {
    signal_hook::flag::register(libc::SIGXFSZ, Arc::default()).map(drop)
}

/// Clients send modes ready made.
pub(crate) fn clear_umask() {
    umask(Mode::empty());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_have_a_limit_where_the_process_has_none() {
        assert_eq!(for_clients(1000), 936);
        assert_eq!(for_clients(10), 0);
        assert_eq!(for_clients(u64::MAX), 1 << 20);
    }
}
