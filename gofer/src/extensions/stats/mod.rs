//! Another file system whose calls are counted and timed: `stats:BACKEND`.
//!
//! The table is printed on stderr when the process gets SIGUSR1 and when the file system is no longer used. What a
//! client does with host descriptors that it got is not a call; `fusebridge --io rpc` makes calls of everything.

mod counter;
mod report;
mod table;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, Instant};

pub use self::counter::{Counter, Snapshot};
use self::report::Reported;
pub use self::table::table;
use super::wrap::{self, Call, Layer, Wrapped};
use crate::extension::{Backends, Claim, Error, Extension};
use crate::seccomp::{Condition, SyscallRules};
use lisafs::backend::{Errno, Result};

/// Brings file systems whose calls are counted.
#[derive(Clone, Copy, Debug, Default)]
pub struct StatsExtension;

impl Extension for StatsExtension {
    fn name(&self) -> &'static str {
        "stats"
    }

    fn system_calls(&self) -> SyscallRules {
        // The thread that prints is woken through a pair of connected sockets.
        let connected = Condition::long(4, 0);
        SyscallRules::new()
            .allow_if(libc::SYS_sendto, [Condition::int(3, libc::MSG_DONTWAIT), connected])
            .allow_if(libc::SYS_recvfrom, [Condition::only(3, libc::MSG_DONTWAIT), connected])
    }

    fn check(&self, argument: &str, backends: &Backends<'_>) -> std::result::Result<(), Error> {
        wrap::check(self.name(), argument, backends)
    }

    fn open(&self, argument: &str, backends: &Backends<'_>) -> std::result::Result<Claim, Error> {
        let inner = wrap::open(self.name(), argument, backends)?;
        let reported = Reported::start(argument).map_err(|error| format!("cannot wait for SIGUSR1: {error}"))?;
        Ok(Claim::new(Arc::new(Wrapped::new(inner, reported))))
    }
}

/// Counts and times calls. Costs two looks at the clock and some atomic additions for each, and takes no lock.
#[derive(Debug)]
pub struct Stats([Counter; Call::ALL.len()]);

impl Stats {
    /// Nothing so far.
    pub fn new() -> Self {
        Stats(std::array::from_fn(|_| Counter::default()))
    }

    /// A table of all calls that were made, those first that took most of the time.
    pub fn table(&self) -> String {
        let counters = Call::ALL.iter().map(|call| (call.name(), self.0[*call as usize].snapshot()));
        table("call", counters.collect())
    }

    /// How often `call` was made.
    pub fn calls(&self, call: Call) -> u64 {
        self.0[call as usize].snapshot().calls
    }

    fn add(&self, call: Call, time: Duration, outcome: std::result::Result<u64, Errno>) {
        self.0[call as usize].add(time, outcome.ok());
    }
}

impl Default for Stats {
    fn default() -> Self {
        Self::new()
    }
}

impl Layer for Stats {
    type Started = Instant;

    fn before(&self, _: Call) -> Result<Instant> {
        Ok(Instant::now())
    }

    fn after(&self, call: Call, started: Instant, outcome: std::result::Result<u64, Errno>) {
        self.add(call, started.elapsed(), outcome);
    }
}
