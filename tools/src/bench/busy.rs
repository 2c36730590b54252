//! Processes that use all the processor time they can get.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use e2e::{process, wait};

/// How long they may take to start.
const LIMIT: Duration = Duration::from_secs(30);

/// Busy processes. They end when this is dropped, and with this thread, however it ends.
#[derive(Debug, Default)]
pub(crate) struct Busy(Vec<Child>);

impl Busy {
    /// Starts `count` processes, each with one busy thread.
    pub(crate) fn start(count: usize) -> Result<Self> {
        let mut busy = Self::default();
        for _ in 0..count {
            let mut spin = Command::new("setpriv");
            spin.args(["--pdeathsig", "KILL", "sh", "-c", "while :; do :; done"]).stdin(Stdio::null());
            busy.0.push(spin.spawn().context("cannot start setpriv, of the package util-linux")?);
        }
        Ok(busy)
    }

    /// Waits until all of them are under way.
    pub(crate) fn are_under_way(&self) -> Result<()> {
        let is_busy = |child: &Child| process::ticks(child.id()).is_ok_and(|ticks| ticks > 1);
        wait::until("busy processes have used processor time", LIMIT, || self.0.iter().all(is_busy))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        for child in &mut self.0 {
            process::kill(child.id());
            // Not left as a zombie.
            _ = child.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_busy_until_dropped() {
        let busy = Busy::start(2).unwrap();
        let pids: Vec<u32> = busy.0.iter().map(Child::id).collect();
        busy.are_under_way().unwrap();
        drop(busy);
        assert!(pids.iter().all(|pid| !process::alive(*pid)));
    }
}
