//! Getdents64.

use crate::backend::{DirEntry, DirSink, Error, FileType, Result};
use crate::server::context::Context;
use crate::server::exchange::{Reply, Request};
use crate::server::session::reading;
use crate::wire::message::Getdents64Req;
use crate::wire::{Dirent, Wire};

/// In front of the entries: how many there are.
const HEAD: usize = 2;

pub(super) fn list(context: &mut Context<'_>, request: Request<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let request: Getdents64Req = request.decode()?;
    let open = context.session.open(request.dir)?;
    if open.file_type != Some(FileType::Directory) {
        return Err(Error::NOTDIR);
    }
    reply.skip(HEAD)?;
    let mut position = open.position.lock();
    let start = if request.count < 0 { 0 } else { *position };
    let budget = usize::try_from(request.count.unsigned_abs()).unwrap_or(usize::MAX);
    let mut sink = Sink { reply, budget, count: 0, position: start };
    let result =
        reading(&open, |file| if open.is_deleted() { Err(Error::INVAL) } else { file.read_dir(start, &mut sink) });
    let Sink { count, position: end, .. } = sink;
    // What was listed before an error is not lost: the error comes again with the next call.
    if count == 0 {
        result?;
    }
    reply.overwrite(0, &count)?;
    // Only now, when nothing can fail any more: entries that the client does not get are not passed over.
    *position = end;
    Ok(())
}

/// Writes entries into an answer until it is full.
struct Sink<'a, 'r> {
    reply: &'a mut Reply<'r>,
    /// Bytes left, counted as the kernel's own listing would use them.
    budget: usize,
    count: u16,
    /// Behind the last entry that was taken.
    position: u64,
}

impl DirSink for Sink<'_, '_> {
    fn add(&mut self, entry: &DirEntry<'_>) -> bool {
        if !matches!(entry.name, b"." | b"..") {
            let size = kernel_size(entry.name);
            let dirent = Dirent {
                ino: entry.ino,
                dev_minor: entry.dev.1,
                dev_major: entry.dev.0,
                off: entry.next,
                kind: entry.file_type.map_or(0, FileType::dirent_type),
                name: entry.name,
            };
            let Some(count) = self.count.checked_add(1) else { return false };
            if size > self.budget || dirent.wire_size() > self.reply.remaining() || dirent.encode(self.reply).is_err() {
                return false;
            }
            self.budget -= size;
            self.count = count;
        }
        self.position = entry.next;
        true
    }
}

/// Bytes of an entry in the kernel's listing: a head, the name and a NUL, rounded up.
fn kernel_size(name: &[u8]) -> usize {
    const HEAD: usize = 19;
    (HEAD + name.len() + 1).next_multiple_of(8)
}
