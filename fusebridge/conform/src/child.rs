//! Processes that this one has started.

use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

/// Waits for the end of a process, for a while.
pub fn wait_for(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let deadline = Instant::now() + limit;
    let mut pause = Duration::from_millis(1);
    loop {
        match child.try_wait() {
            Ok(None) if Instant::now() < deadline => {
                std::thread::sleep(pause);
                pause = (pause * 2).min(Duration::from_millis(20));
            }
            result => return result.ok().flatten(),
        }
    }
}
