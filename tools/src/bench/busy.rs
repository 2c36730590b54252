//! Processes that use all the processor time they can get.

use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};
use e2e::process;

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
    use std::time::Duration;

    use e2e::wait;

    use super::*;

    #[test]
    fn they_are_busy_until_dropped() {
        let busy = Busy::start(2).unwrap();
        let pids: Vec<u32> = busy.0.iter().map(Child::id).collect();
        let are_busy = || pids.iter().all(|pid| process::ticks(*pid).is_ok_and(|ticks| ticks > 1));
        wait::until("both have used processor time", Duration::from_secs(30), are_busy).unwrap();
        drop(busy);
        assert!(pids.iter().all(|pid| !process::alive(*pid)));
    }
}
