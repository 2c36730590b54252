//! Where a request came from, which is where its answer goes.

use std::sync::Arc;

use lisafs::Errno;
use lisafs::iobuf::IoSource;

use super::end::End;
use crate::fs::fuse::ring::Entry;

/// The origin of a request.
#[derive(Clone, Debug)]
pub(in super::super) enum Origin {
    /// It was read there.
    Device(Arc<End>),
    /// It is in there. Answers are put there as well, and go to the kernel when the entry is committed: the thread at
    /// work on the request does that afterwards.
    Ring(Arc<Entry>),
}

impl Origin {
    /// Whether this is the same as `other`.
    pub(super) fn is(&self, other: &Origin) -> bool {
        match (self, other) {
            (Origin::Device(this), Origin::Device(other)) => Arc::ptr_eq(this, other),
            (Origin::Ring(this), Origin::Ring(other)) => Arc::ptr_eq(this, other),
            _ => false,
        }
    }

    /// Answers request `unique` with `body`. `false`: nobody waits for it any more.
    pub(super) fn answer(&self, unique: u64, body: &[u8]) -> bool {
        match self {
            Origin::Device(end) => end.answer(unique, body),
            Origin::Ring(entry) => {
                entry.answer(unique, &body.into());
                true
            }
        }
    }

    /// Answers request `unique` with `data`, which may be shared with a server.
    pub(super) fn answer_with(&self, unique: u64, data: IoSource<'_>) {
        match self {
            Origin::Device(end) => end.answer_with(unique, data),
            Origin::Ring(entry) => entry.answer(unique, &data),
        }
    }

    /// Answers request `unique` with an error.
    pub(super) fn refuse(&self, unique: u64, error: Errno) {
        match self {
            Origin::Device(end) => end.refuse(unique, error),
            Origin::Ring(entry) => entry.refuse(unique, error),
        }
    }

    /// [`refuse`](Self::refuse), where the thread at work on the request does not answer it afterwards.
    pub(super) fn refuse_for_another(&self, unique: u64, error: Errno) {
        self.refuse(unique, error);
        if let Origin::Ring(entry) = self {
            entry.hand_over();
        }
    }
}
