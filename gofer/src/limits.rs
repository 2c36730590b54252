//! What the process needs to be before it serves host files.

use std::io;
use std::sync::Arc;

use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::Mode;
use rustix::io::fcntl_dupfd_cloexec;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit, umask};

use lisafs::backend::Options;

/// Descriptors that are not for clients: sockets, packet windows, the log.
const RESERVED: u64 = 64;

/// Lets the process open as many files as it may in all, and returns how many.
pub fn raise_descriptors() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let descriptors = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum.unwrap_or(u64::MAX),
        Err(error) => {
            tracing::info!(%error, "cannot raise the number of open files");
            limit.current.unwrap_or(u64::MAX)
        }
    };
    widen_table(descriptors);
    descriptors
}

/// Has the kernel make room for descriptors beforehand. Later, with threads, each time that their number doubles it
/// would wait for all processors, which takes as long as hundreds of requests.
fn widen_table(descriptors: u64) {
    /// A little of the kernel's memory: 128 KiB.
    const ROOM: u64 = 1 << 14;
    let Ok(last) = i32::try_from(descriptors.clamp(1, ROOM) - 1) else { return };
    let widened = eventfd(0, EventfdFlags::CLOEXEC).and_then(|any| fcntl_dupfd_cloexec(any, last).map(drop));
    if let Err(error) = widened {
        tracing::debug!(%error, "no room for descriptors beforehand");
    }
}

/// How many of `descriptors` are for the files of clients. Where the process may have any number, they may not: each
/// takes memory of the kernel.
pub fn for_clients(descriptors: u64) -> usize {
    usize::try_from(descriptors.saturating_sub(RESERVED)).unwrap_or(usize::MAX).min(Options::default().max_fds)
}

/// How many of those of [`for_clients`] one of several connections may have. Which of them needs many is known to
/// nobody beforehand, so it may have all but what lets the others go on.
pub fn for_one_of_several(all: usize) -> usize {
    /// Enough to look at files and to open some.
    const OTHERS: usize = 64;
    all - OTHERS.min(all / 4)
}

/// Makes a write beyond `RLIMIT_FSIZE` fail instead of ending the process: any handler prevents that.
pub fn survive_large_writes() -> io::Result<()> {
    signal_hook::flag::register(libc::SIGXFSZ, Arc::default()).map(drop)
}

/// Clients send modes ready made.
pub fn clear_umask() {
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

    #[test]
    fn one_connection_leaves_some_to_the_others() {
        assert_eq!(for_one_of_several(19_936), 19_872);
        assert_eq!(for_one_of_several(100), 75);
        assert_eq!(for_one_of_several(0), 0);
    }
}
