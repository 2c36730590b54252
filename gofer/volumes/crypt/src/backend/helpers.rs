//! Threads that help with large requests.

use std::num::NonZero;
use std::sync::OnceLock;
use std::thread::available_parallelism;

use rayon::{ThreadPool, ThreadPoolBuilder};

use super::buffer::BLOCKS;

/// How many threads work on one request at most, with the one that it came to.
pub(super) const MOST: usize = 4;

/// Blocks that are worth waking a thread for.
pub(super) const SHARE: usize = BLOCKS;

/// The threads of this process, which all volumes share; none where there is one processor. They are made by the first
/// call, which must come before system calls are filtered.
pub(super) fn helpers() -> Option<&'static ThreadPool> {
    static HELPERS: OnceLock<Option<ThreadPool>> = OnceLock::new();
    let make = || {
        let others = available_parallelism().map_or(1, NonZero::get).min(MOST) - 1;
        if others == 0 {
            return None;
        }
        let pool = ThreadPoolBuilder::new().num_threads(others).thread_name(|number| format!("crypt-{number}"));
        // Without them it takes longer.
        pool.stack_size(256 << 10).build().inspect_err(|error| tracing::debug!(%error, "no threads to help")).ok()
    };
    HELPERS.get_or_init(make).as_ref()
}
