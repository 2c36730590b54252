//! A request as handlers see it, and the answer as they write it.

use std::os::fd::OwnedFd;

use crate::backend::{Errno, Error, IoSource, IoTarget, Result};
use crate::transport::Fds;
use crate::wire::message::{ErrorResp, PWriteHead};
use crate::wire::{DoesNotFit, MessageId, Sink, Wire};

/// The payload of a request.
#[derive(Clone, Copy)]
pub(super) struct Request<'a> {
    /// Private memory of the server: nobody changes it while it is looked at. All of the payload, but only the head of
    /// a PWrite.
    pub(super) payload: &'a [u8],
    /// What follows: the data of a PWrite, where the client has put it.
    pub(super) data: IoSource<'a>,
}

impl<'a> Request<'a> {
    /// How many bytes of a payload of `len` are copied to private memory before they are looked at.
    pub(super) fn private_len(message: MessageId, len: usize) -> usize {
        if message == MessageId::PWRITE { len.min(PWriteHead::SIZE) } else { len }
    }

    /// The request as a message; `EIO` if it is cut off.
    pub(super) fn decode<T: Wire<'a>>(self) -> Result<T> {
        T::from_bytes(self.payload).map_err(|_| Error::IO)
    }
}

/// The answer to a request, written to where the client finds it.
pub(super) struct Reply<'a> {
    payload: IoTarget<'a>,
    len: usize,
    fds: Fds,
}

impl<'a> Reply<'a> {
    /// An answer whose payload goes to `payload`.
    pub(super) fn new(payload: IoTarget<'a>) -> Self {
        Reply { payload, len: 0, fds: Fds::new() }
    }

    /// Writes `message` behind what is there; `EIO` if it does not fit.
    pub(super) fn message<'m>(&mut self, message: &impl Wire<'m>) -> Result<()> {
        message.encode(self).map_err(|DoesNotFit| Error::IO)
    }

    /// Makes the answer an error and forgets everything else.
    pub(super) fn fail(&mut self, errno: Errno) {
        self.len = 0;
        self.fds.clear();
        let errno = errno.to_wire();
        if self.message(&ErrorResp { errno }).is_err() {
            tracing::error!("an answer has no room for an error");
        }
    }

    /// Sends `fd` along.
    pub(super) fn donate(&mut self, fd: OwnedFd) -> Result<()> {
        self.fds.try_push(fd).map_err(|_| Error::IO)
    }

    /// What is sent along.
    pub(super) fn fds(&mut self) -> &mut Fds {
        &mut self.fds
    }

    /// How long the payload is.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// How many bytes could still be written.
    pub(super) fn remaining(&self) -> usize {
        self.payload.len() - self.len
    }

    /// How long the payload may be.
    pub(super) fn capacity(&self) -> usize {
        self.payload.len()
    }

    /// Leaves `len` bytes to be filled in later, with [`overwrite`](Self::overwrite) or through [`room`](Self::room).
    pub(super) fn skip(&mut self, len: usize) -> Result<()> {
        if len > self.remaining() {
            return Err(Error::IO);
        }
        self.len += len;
        Ok(())
    }

    /// The next `len` bytes, for somebody else to put data there.
    ///
    /// # Panics
    ///
    /// If there are not that many.
    pub(super) fn room(&mut self, len: usize) -> IoTarget<'_> {
        self.payload.part(self.len, len)
    }

    /// Writes `message` over the bytes from `at` on, which were left for it.
    pub(super) fn overwrite<'m>(&mut self, at: usize, message: &impl Wire<'m>) -> Result<()> {
        let len = std::mem::replace(&mut self.len, at);
        let result = self.message(message);
        debug_assert!(self.len <= len, "only what was left free is overwritten");
        self.len = len;
        result
    }
}

impl Sink for Reply<'_> {
    fn put(&mut self, bytes: &[u8]) -> std::result::Result<(), DoesNotFit> {
        if bytes.len() > self.remaining() {
            return Err(DoesNotFit);
        }
        self.payload.put(self.len, bytes);
        self.len += bytes.len();
        Ok(())
    }
}
