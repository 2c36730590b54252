//! Telling the kernel that what it remembers of a file is old.
//!
//! To drop a page the kernel waits for its lock, which somebody may hold who waits for an answer of ours, and writes it
//! back first if it is dirty; to drop a name it waits until nobody changes names in the directory. So that is left to a
//! thread of its own.

use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};

use parking_lot::{Mutex, RwLock};

use super::identity::NodeId;

/// What is old.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Old {
    /// Attributes of a file.
    Attributes(NodeId),
    /// Bytes of a file, from an offset on, and how many.
    Data(NodeId, u64, u64),
    /// What a name in a directory leads to, or that it leads nowhere.
    Name(NodeId, Box<[u8]>),
}

/// Tells the kernel.
pub(super) type Notify = Arc<dyn Fn(&Old) + Send + Sync>;

/// The way to the kernel.
#[derive(Default)]
pub struct Invalidator {
    notify: RwLock<Option<Notify>>,
    queue: Mutex<Option<Sender<Old>>>,
}

impl Invalidator {
    /// Starts telling the kernel by `notify`.
    pub(super) fn start(&self, notify: Notify) -> std::io::Result<()> {
        let (queue, all) = channel();
        *self.notify.write() = Some(notify.clone());
        std::thread::Builder::new().name("invalidator".into()).spawn(move || {
            all.iter().for_each(|old| notify(&old));
        })?;
        *self.queue.lock() = Some(queue);
        Ok(())
    }

    /// Attributes of `id`, which somebody refers to, are old.
    pub fn attributes(&self, id: NodeId) {
        if let Some(notify) = &*self.notify.read() {
            notify(&Old::Attributes(id));
        }
    }

    /// `length` bytes of `id` at `offset` are old, or will be soon.
    pub fn data(&self, id: NodeId, offset: u64, length: u64) {
        self.later(Old::Data(id, offset, length));
    }

    /// Nobody knows what `name` in `parent` leads to; a request that changes it may be under way, and is not waited for.
    pub fn name(&self, parent: NodeId, name: &[u8]) {
        self.later(Old::Name(parent, name.into()));
    }

    fn later(&self, old: Old) {
        if let Some(queue) = &*self.queue.lock() {
            // Without the thread there is no mount either.
            let _ = queue.send(old);
        }
    }

    /// Ends the thread.
    pub fn stop(&self) {
        self.queue.lock().take();
        self.notify.write().take();
    }
}
