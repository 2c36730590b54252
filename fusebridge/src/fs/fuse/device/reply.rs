//! The answer to one request.

use std::cell::Cell;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use lisafs::Errno;
use lisafs::iobuf::IoSource;
use zerocopy::{Immutable, IntoBytes};

use super::end::{Backing, End};
use super::origin::Origin;
use super::slot::Slot;
use crate::fs::bridge::Result;

/// Where one request is answered, at most once.
pub(super) struct Reply<'a> {
    origin: &'a Origin,
    device: &'a Arc<End>,
    unique: u64,
    slot: &'a Slot,
    is_answered: Cell<bool>,
}

impl<'a> Reply<'a> {
    /// To request `unique` from `origin`, which `slot`'s thread is at work on. `device` is an end of the connection.
    pub(super) fn new(origin: &'a Origin, device: &'a Arc<End>, unique: u64, slot: &'a Slot) -> Self {
        Reply { origin, device, unique, slot, is_answered: Cell::new(false) }
    }

    /// Whether this has answered, and nobody else.
    pub(super) fn is_answered(&self) -> bool {
        self.is_answered.get()
    }

    /// Takes the right to answer.
    fn claim(&self) -> bool {
        let is_claimed = self.slot.claim(self.unique);
        self.is_answered.set(self.is_answered.get() || is_claimed);
        is_claimed
    }

    /// Whether nobody waits for it any more.
    pub(super) fn is_given_up(&self) -> bool {
        self.slot.is_given_up(self.unique)
    }

    /// Answers with `body`. `false`: nobody waits any more.
    pub(super) fn bytes(&self, body: &[u8]) -> bool {
        self.claim() && self.origin.answer(self.unique, body)
    }

    /// [`bytes`](Self::bytes) of a structure.
    pub(super) fn body(&self, body: &(impl IntoBytes + Immutable)) -> bool {
        self.bytes(body.as_bytes())
    }

    /// Answers with `data`, which may be shared with the server.
    pub(super) fn data(&self, data: IoSource<'_>) {
        if self.claim() {
            self.origin.answer_with(self.unique, data);
        }
    }

    /// Answers with an error.
    pub(super) fn refuse(&self, error: Errno) {
        if self.claim() {
            self.origin.refuse(self.unique, error);
        }
    }

    /// Answers that it is done, or why not.
    pub(super) fn done(&self, result: Result<()>) {
        self.tell_done(result);
    }

    /// The same. `false`: it is done, and nobody waits for the answer any more.
    pub(super) fn tell_done(&self, result: Result<()>) -> bool {
        match result {
            Ok(()) => self.bytes(&[]),
            Err(error) => {
                self.refuse(error);
                true
            }
        }
    }

    /// Makes `file` known to the kernel as one that it may read and write by itself.
    pub(super) fn register(&self, file: BorrowedFd<'_>) -> std::io::Result<Backing> {
        Backing::register(self.device, file)
    }
}
