//! Telling the kernel what it has not asked for.

use std::cell::Cell;
use std::sync::Arc;

use rustix::io::Errno;
use zerocopy::IntoBytes;

use super::end::End;
use crate::fs::evict::Prune;
use crate::fs::fuse::abi::{InvalEntryOut, InvalInodeOut, PruneOut, notify};
use crate::fs::identity::NodeId;
use crate::fs::invalidate::Old;

/// Has the kernel forget what is `old`.
pub(in super::super) fn forget_old(end: &End, old: &Old) {
    let told = match old {
        // A negative offset leaves data alone.
        Old::Attributes(id) => invalidate(end, *id, -1, 0),
        Old::Data(id, offset, length) => {
            let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
            invalidate(end, *id, whole(*offset), whole(*length))
        }
        Old::Name(parent, name) => {
            let len = u32::try_from(name.len()).unwrap_or(u32::MAX);
            let body = InvalEntryOut { parent: parent.0, name_length: len, flags: 0 };
            end.notify(notify::INVAL_ENTRY, &[body.as_bytes(), name, b"\0"])
        }
    };
    if let Err(error) = told {
        // `ENOENT`: it has nothing of it.
        tracing::debug!(%error, ?old, "the kernel keeps what it has");
    }
}

fn invalidate(end: &End, id: NodeId, offset: i64, length: i64) -> rustix::io::Result<()> {
    let body = InvalInodeOut { node: id.0, offset, length };
    end.notify(notify::INVAL_INODE, &[body.as_bytes()])
}

/// So many files are named in one notification.
const MOST: usize = 512;

/// Asks the kernel to forget files that nobody is in, which it can since 6.18. Unlike `FUSE_NOTIFY_INVAL_ENTRY` this
/// leaves names alone that are in use: by what is mounted on them, and by those whose working directory they are.
pub(in super::super) fn pruner(end: Arc<End>) -> Prune {
    let is_unknown = Cell::new(false);
    Box::new(move |files| {
        for files in files.chunks(MOST) {
            if is_unknown.get() {
                return;
            }
            let count = u32::try_from(files.len()).unwrap_or(u32::MAX);
            let body = PruneOut { count, padding: 0, spare: 0 };
            let numbers: Vec<u64> = files.iter().map(|file| file.0).collect();
            match end.notify(notify::PRUNE, &[body.as_bytes(), numbers.as_bytes()]) {
                Ok(()) => {}
                Err(error @ (Errno::INVAL | Errno::NOSYS)) => {
                    tracing::debug!(%error, "this kernel cannot be asked to forget files");
                    is_unknown.set(true);
                }
                Err(error) => tracing::debug!(%error, "the kernel keeps files"),
            }
        }
    })
}
