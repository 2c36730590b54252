//! Figures of a mount while it is up: for people, and for Prometheus.

mod meter;
mod metrics;
mod service;

pub(crate) use meter::Meter;
pub(crate) use service::{Service, ask, remove_stale};

use std::sync::{Arc, Weak};
use std::time::Instant;

use crate::fs::Bridge;

/// Everything that is known of a mount.
#[derive(Debug)]
pub(crate) struct Figures {
    /// Counts the requests to the server.
    pub(crate) meter: Arc<Meter>,
    /// What is mounted, for people.
    pub(crate) backend: String,
    /// Where.
    pub(crate) mountpoint: String,
    /// Since when.
    pub(crate) since: Instant,
    /// The file system. Not kept alive: its connection must be able to end.
    pub(crate) bridge: Weak<Bridge>,
}

impl Figures {
    /// A table.
    pub(crate) fn table(&self) -> String {
        let Figures { backend, mountpoint, .. } = self;
        let (inodes, open) = self.held();
        format!(
            "{backend} on {mountpoint}, up for {} s: {inodes} cached inodes, {open} open files\n{}",
            self.since.elapsed().as_secs(),
            self.meter.table()
        )
    }

    /// What somebody gets who asks for `path`.
    fn render(&self, path: &str) -> Option<String> {
        match path {
            "/metrics" => Some(self.metrics()),
            "/stats" => Some(self.table()),
            _ => None,
        }
    }

    /// Cached inodes and open files.
    fn held(&self) -> (usize, usize) {
        self.bridge.upgrade().map(|bridge| bridge.held()).unwrap_or_default()
    }
}
