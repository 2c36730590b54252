//! Callers whose signals the kernel does not tell of.
//!
//! Up to Linux 6.18 at least, a request over a ring whose caller has a signal already when it is made is never
//! interrupted: not even killing the caller ends the call then. So whoever waits long is looked at.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::watch::Watch;
use crate::fs::fuse::abi::{READ_LOCKOWNER, WRITE_CACHE};
use crate::fs::fuse::request::{Operation, Request};

/// How often they are looked at.
const PERIOD: Duration = Duration::from_millis(100);

/// Who waits for the answer to a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Caller {
    /// The thread. 0: nobody that could be found, or nobody waits.
    thread: u32,
    /// Others may wait as well, for what is read into the kernel's cache: only its death counts.
    is_one_of_many: bool,
}

impl Caller {
    /// Who waits for `request`.
    pub(super) fn of(request: &Request<'_>) -> Self {
        let thread = request.header.pid;
        match &request.operation {
            Operation::Read(read) => Caller { thread, is_one_of_many: read.read_flags & READ_LOCKOWNER == 0 },
            Operation::Write(write, _) if write.write_flags & WRITE_CACHE != 0 => Caller::default(),
            _ => Caller { thread, is_one_of_many: false },
        }
    }

    /// As one number.
    pub(super) fn packed(self) -> u64 {
        u64::from(self.thread) | u64::from(self.is_one_of_many) << 32
    }

    /// The inverse of [`packed`](Self::packed).
    pub(super) fn unpacked(packed: u64) -> Self {
        Caller { thread: u32::try_from(packed & u64::from(u32::MAX)).unwrap_or(0), is_one_of_many: packed >> 32 != 0 }
    }

    /// Whether a signal waits until its call ends.
    pub(super) fn is_interrupted(self) -> bool {
        if self.thread == 0 {
            return false;
        }
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.thread));
        let signals = status.map_or(0, |status| waiting_signals(&status));
        const KILL: u64 = 1 << (libc::SIGKILL - 1);
        signals & if self.is_one_of_many { KILL } else { u64::MAX } != 0
    }
}

/// The signals in a process's status that it has got and not blocked.
fn waiting_signals(status: &str) -> u64 {
    let set = |name| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        u64::from_str_radix(line.trim(), 16).ok()
    };
    let all = set("SigPnd:").unwrap_or(0) | set("ShdPnd:").unwrap_or(0);
    all & !set("SigBlk:").unwrap_or(0)
}

/// When callers are looked at: as long as there are any.
#[derive(Debug, Default)]
pub(super) struct Patrol {
    is_on: AtomicBool,
}

impl Patrol {
    /// There is a caller, which is counted by now.
    pub(super) fn begin(&self, watch: &Watch) {
        if !self.is_on.load(Ordering::SeqCst) && !self.is_on.swap(true, Ordering::SeqCst) {
            watch.wake();
        }
    }

    /// Whether they are to be looked at, the last time having been at `last`. `has_callers` says whether there are any.
    pub(super) fn is_due(&self, last: &mut Instant, has_callers: impl Fn() -> bool) -> bool {
        if !self.is_on.load(Ordering::SeqCst) || last.elapsed() < PERIOD {
            return false;
        }
        *last = Instant::now();
        self.is_on.store(false, Ordering::SeqCst);
        // Whoever is counted later sees that it is off.
        if has_callers() {
            self.is_on.store(true, Ordering::SeqCst);
        }
        true
    }

    /// How long it is until then.
    pub(super) fn next(&self) -> Option<Duration> {
        self.is_on.load(Ordering::SeqCst).then_some(PERIOD)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_that_are_not_blocked_wait() {
        let status = "Name:\tx\nSigPnd:\t0000000000000100\nShdPnd:\t0000000000000203\nSigBlk:\t0000000000000201\n";
        assert_eq!(waiting_signals(status), 0x102);
        assert_eq!(waiting_signals("Name:\tx\n"), 0);
        let own = Caller { thread: std::process::id(), is_one_of_many: false };
        assert!(!own.is_interrupted() && Caller::unpacked(own.packed()) == own);
        let many = Caller { is_one_of_many: true, ..own };
        assert_eq!(Caller::unpacked(many.packed()), many);
    }

    #[test]
    fn the_patrol_ends_with_the_last_caller() {
        let (patrol, watch) = (Patrol::default(), Watch::default());
        let mut last = Instant::now() - PERIOD;
        assert!(!patrol.is_due(&mut last, || true) && patrol.next().is_none());
        patrol.begin(&watch);
        assert!(patrol.is_due(&mut last, || true) && patrol.next().is_some());
        assert!(!patrol.is_due(&mut last, || true), "not so soon");
        last = Instant::now() - PERIOD;
        assert!(patrol.is_due(&mut last, || false) && patrol.next().is_none());
    }
}
