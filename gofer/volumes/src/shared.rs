//! What the threads of the server have in common.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use gofer::extension::Registry;
use parking_lot::Mutex;

use crate::config::Config;
use crate::connections::Connections;
use crate::volumes::Volumes;

/// What threads have in common.
pub(crate) struct Shared {
    pub(crate) registry: Registry,
    pub(crate) connections: Connections,
    pub(crate) volumes: Volumes,
    /// Descriptors that one connection may have at most.
    pub(crate) most_fds: usize,
    /// Hand-overs that were refused.
    pub(crate) refusals: AtomicU64,
    pub(crate) config: Mutex<Arc<Config>>,
}

impl Shared {
    /// The configuration as it is now.
    pub(crate) fn config(&self) -> Arc<Config> {
        self.config.lock().clone()
    }

    /// Counts a refusal.
    pub(crate) fn refused(&self) {
        self.refusals.fetch_add(1, Ordering::Relaxed);
    }
}
