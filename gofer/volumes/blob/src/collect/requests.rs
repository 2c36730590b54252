//! What other processes ask whoever writes for.
//!
//! They ask by a checkpoint whose name says what: whoever writes looks at the list of checkpoints anyway, so that it
//! costs no request of its own. When it is done, the checkpoint is deleted.

use std::sync::Arc;

use uuid::Uuid;

use super::Age;
use crate::volume::Volume;

/// Begins the names of checkpoints that ask for something.
pub(crate) const DO: &str = "do:";

/// Asks for a collection.
pub(crate) const COLLECT: &str = "do:collect";

/// Asks for a checkpoint of the name that follows.
pub(crate) const SNAPSHOT: &str = "do:snapshot:";

impl Volume {
    /// Does what others ask for.
    pub(super) fn serve_requests(self: &Arc<Self>) {
        for checkpoint in self.meta.checkpoints() {
            let Some(name) = checkpoint.name.filter(|name| name.starts_with(DO)) else { continue };
            if !self.collector.turn.lock().done.insert(checkpoint.id) {
                continue;
            }
            // Who asks for a snapshot waits for it; a collection is only begun.
            let is_long = name == COLLECT;
            if is_long {
                self.end_request(checkpoint.id);
            }
            if let Some(wanted) = name.strip_prefix(SNAPSHOT) {
                let kept = self.sync().map(|()| self.wait(self.meta.keep(wanted)));
                if !matches!(kept, Ok(Ok(()))) {
                    tracing::warn!(wanted, ?kept, "a snapshot that was asked for failed");
                }
            } else if name == COLLECT
                && let Err(error) = self.collect(Age::Seen)
            {
                tracing::warn!(%error, "a collection that was asked for failed");
            }
            if !is_long {
                self.end_request(checkpoint.id);
            }
        }
    }

    fn end_request(&self, id: Uuid) {
        let admin = self.store.admin();
        let deleted =
            self.wait(async { tokio::time::timeout(self.options.timeout, admin.delete_checkpoint(id)).await });
        // If not, it expires.
        if !matches!(deleted, Ok(Ok(()))) {
            tracing::debug!(%id, "a request cannot be deleted");
        }
    }
}
