//! Telling the kernel that what it remembers of a file is old.
//!
//! To drop a page the kernel waits for its lock, which somebody may hold who waits for an answer of ours, and writes it
//! back first if it is dirty. So that is left to a thread of its own.

use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};

use parking_lot::{Mutex, RwLock};

use super::identity::NodeId;

/// Tells the kernel: attributes only, or also the data at an offset, and how many bytes of it.
pub(super) type Notify = Arc<dyn Fn(NodeId, Option<(u64, u64)>) + Send + Sync>;

type Part = (NodeId, u64, u64);

/// The way to the kernel.
#[derive(Default)]
pub struct Invalidator {
    notify: RwLock<Option<Notify>>,
    queue: Mutex<Option<Sender<Part>>>,
}

impl Invalidator {
    /// Starts telling the kernel by `notify`.
    pub(super) fn start(&self, notify: Notify) -> std::io::Result<()> {
        let (queue, parts) = channel::<Part>();
        *self.notify.write() = Some(notify.clone());
        std::thread::Builder::new().name("invalidator".into()).spawn(move || {
            for (id, offset, length) in parts {
                notify(id, Some((offset, length)));
            }
        })?;
        *self.queue.lock() = Some(queue);
        Ok(())
    }

    /// Attributes of `id`, which somebody refers to, are old.
    pub fn attributes(&self, id: NodeId) {
        if let Some(notify) = &*self.notify.read() {
            notify(id, None);
        }
    }

    /// `length` bytes of `id` at `offset` are old, or will be soon.
    pub fn data(&self, id: NodeId, offset: u64, length: u64) {
        if let Some(queue) = &*self.queue.lock() {
            // Without the thread there is no mount either.
            let _ = queue.send((id, offset, length));
        }
    }

    /// Ends the thread.
    pub fn stop(&self) {
        self.queue.lock().take();
        self.notify.write().take();
    }
}
