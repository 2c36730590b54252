//! Reading ahead for who reads a file from front to back past the kernel's cache.
//!
//! Where others may change files the kernel keeps no data, and so reads none ahead: over a slow server each read costs
//! its reader a round trip. So an open file has a window of its own with what comes next, which is fetched by several
//! calls at once. It is kept from readers for as long as that makes no difference for them:
//!
//! * It is of one open file, and fetched after that was opened: who opens a file has what was there then.
//! * It is dropped when the file is changed through this mount, and when attributes are seen by which it has changed:
//!   who was told that a file is another one reads that.
//! * What is in it was asked for no longer than `FRESH` before the reader asked.
//! * Where a file ends is always asked: a reader that waits for more finds it.
//!
//! A server that answers quickly is asked for each read: that costs less than what would be copied twice.
//!
//! For who goes through a directory, `names` does the same with names and attributes.

mod fetchers;
mod names;
mod share;
mod window;

use std::sync::Arc;
use std::time::{Duration, Instant};

use lisafs::iobuf::IoSource;
use lisafs::wire::FileType;

use super::bridge::{Bridge, Result};
use super::handles::Handle;
use super::identity::NodeId;
use super::policy::Access;
pub(super) use fetchers::Fetchers;
pub use fetchers::MOST_THREADS;
pub(super) use names::{Ahead as NameAhead, Walks};
pub(super) use window::Ahead;
use window::{Part, Plan};

/// How much older than the answer to its own request what a reader gets may be.
const FRESH: Duration = Duration::from_secs(1);

/// What takes as long to answer is worth to be asked for beforehand.
const SLOW: Duration = Duration::from_millis(1);

/// What is known of a file's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Content {
    /// Another number for each change that was seen or made.
    pub version: u64,
    /// The size as last seen.
    pub size: u64,
}

impl Bridge {
    /// The window of `handle` on `id`, opened past the kernel's cache, if it is to have one.
    pub(super) fn new_window(&self, id: NodeId, handle: &Handle) -> Option<Arc<Ahead>> {
        // What others do not change the kernel may keep, but for files of which nobody knows the size.
        let is_wanted = self.policy.access == Access::Shared && handle.is_readable() && handle.donated().is_none();
        (is_wanted && self.nodes.lock().file_type(id) == Some(FileType::Regular)).then(Arc::default)
    }

    /// Does [`read`](Self::read) for an application, with what was read ahead.
    pub fn read_ahead<R>(
        &self,
        id: NodeId,
        handle: &Arc<Handle>,
        offset: u64,
        size: usize,
        with: impl FnOnce(IoSource<'_>) -> R,
    ) -> Result<R> {
        let Some(ahead) = handle.ahead() else { return self.read(id, handle, offset, size, with) };
        let timed = |with| {
            let started = Instant::now();
            let result = self.read(id, handle, offset, size, with);
            ahead.answered(started.elapsed());
            result
        };
        if !ahead.is_of_use(offset, size) {
            return timed(with);
        }
        let Some(content) = self.nodes.lock().content(id) else { return timed(with) };
        let asked = Instant::now();
        let parts = ahead.take(offset, size, content, asked);
        if let Some(plan) = ahead.plan(size, content, self.client.max_read()) {
            self.fetch(handle, ahead, &plan);
        }
        let is_in_part = |part: &Part| part.bytes().len() == size;
        match &*parts {
            [] => timed(with),
            [part] if is_in_part(part) => Ok(with(IoSource::from(part.bytes()))),
            parts => {
                let mut data = Vec::with_capacity(size);
                parts.iter().for_each(|part| data.extend_from_slice(part.bytes()));
                let (at, rest) = (offset + data.len() as u64, size - data.len());
                if rest > 0 {
                    // As after any answer that was too short, an error shows when the reader goes on.
                    let _ = self.read(id, handle, at, rest, |more| {
                        let start = data.len();
                        data.resize(start + more.len(), 0);
                        more.get(0, &mut data[start..]);
                    });
                }
                Ok(with(IoSource::from(&data[..])))
            }
        }
    }

    /// Has what is planned read by others.
    fn fetch(&self, handle: &Arc<Handle>, ahead: &Arc<Ahead>, plan: &Plan) {
        let mut offset = plan.offset;
        for _ in 0..plan.count {
            let length = usize::try_from(plan.end.saturating_sub(offset)).unwrap_or(plan.length).min(plan.length);
            // Calls that somebody waits for come first.
            if length == 0 || self.client.calls_without_waiting() < 2 {
                return;
            }
            let Some(permit) = self.fetchers.admit() else { return };
            let ticket = ahead.expect(Instant::now(), offset, length, plan.version, permit);
            let (client, handle, ahead) = (self.client.clone(), handle.clone(), ahead.clone());
            self.fetchers.run(Box::new(move || {
                if !ahead.is_expected(ticket) {
                    return;
                }
                let started = Instant::now();
                let data = fetched(&client, &handle, offset, length);
                ahead.arrived(ticket, data, started.elapsed());
            }));
            offset += length as u64;
        }
    }

    /// To be held while the content of `id` is changed through this mount: what is read before the end of that is not
    /// for those who read after it.
    pub(super) fn changing(&self, id: NodeId) -> Changing<'_> {
        self.content_changes(id);
        Changing { bridge: self, id }
    }

    /// The content of `id` changes through this mount, or has changed.
    pub(super) fn content_changes(&self, id: NodeId) {
        if self.policy.access == Access::Shared {
            self.nodes.lock().content_changes(id);
        }
    }
}

/// See [`Bridge::changing`].
pub(super) struct Changing<'a> {
    bridge: &'a Bridge,
    id: NodeId,
}

impl Drop for Changing<'_> {
    fn drop(&mut self) {
        self.bridge.content_changes(self.id);
    }
}

/// `length` bytes at `offset`. `None`: there are not so many, or they cannot be read.
fn fetched(client: &lisafs::client::Client, handle: &Handle, offset: u64, length: usize) -> Option<Vec<u8>> {
    let mut data = Vec::new();
    while data.len() < length {
        let (at, rest) = (data.len(), length - data.len());
        let n = client.pread(handle.fd(), offset + at as u64, rest, |more| {
            data.resize(at + more.len(), 0);
            more.get(0, &mut data[at..]);
            more.len()
        });
        if n.ok()? == 0 {
            return None;
        }
    }
    Some(data)
}
