//! What the calls of a client share with its threads, and how a call is made.

use std::sync::Arc;
use std::time::Duration;

use crate::errno::Errno;
use crate::wire::message::{CloseReq, CloseResp};
use crate::wire::{FdArray, Message, MessageId, MessageSet, Wire};

use super::channels::add_channel;
use super::closes::Closes;
use super::communicator::Answer;
use super::direct::DirectCall;
use super::error::CallError;
use super::exchange::exchange;
use super::observer::Observer;
use super::pool::{Acquired, Lease, Pool};
use crate::server::Direct;
use crate::trace::Recorder;
use crate::transport::Ended;

/// What the calls of a client share with its threads.
pub(super) struct Connection {
    /// Its communicators.
    pub(super) pool: Pool,
    /// The server, if it is in this process and answers on the threads of callers.
    pub(super) direct: Option<Direct>,
    /// What the server understands.
    pub(super) supported: MessageSet,
    /// Largest payload in bytes.
    pub(super) max_message: usize,
    /// How long an answer may take.
    pub(super) time_limit: Duration,
    /// FDs to give back.
    pub(super) closes: Closes,
    /// Where everything is recorded, if it is.
    pub(super) trace: Option<Arc<Recorder>>,
    /// Who hears of everything, if anybody does.
    pub(super) observer: Option<Arc<dyn Observer>>,
}

impl Connection {
    fn watchers(&self) -> (Option<&Recorder>, Option<&dyn Observer>) {
        (self.trace.as_deref(), self.observer.as_deref())
    }

    /// Makes a call: [`exchange`] on a free communicator.
    ///
    /// `read` runs while the communicator is taken. It must not make another call.
    pub(super) fn call<'q, Q: Message<'q>, R>(
        &self,
        request: &Q,
        read: impl FnOnce(Answer<'_>) -> Result<R, CallError>,
    ) -> Result<R, CallError> {
        self.call_as(Q::ID, request, read)
    }

    /// [`call`](Self::call) for a request whose kind is only known at run time.
    pub(super) fn call_as<'q, R>(
        &self,
        id: MessageId,
        request: &impl Wire<'q>,
        read: impl FnOnce(Answer<'_>) -> Result<R, CallError>,
    ) -> Result<R, CallError> {
        if !self.supported.contains(id) {
            return Err(CallError::Unsupported(id));
        }
        if let Some(server) = &self.direct {
            let mut call = DirectCall::new(server, self.max_message);
            return exchange(&mut call, id, request, self.time_limit, self.watchers(), read);
        }
        let mut lease = self.acquire()?;
        let answered = exchange(lease.communicator(), id, request, self.time_limit, self.watchers(), read);
        if let Err(CallError::Ended(Ended::ShutDown | Ended::System(_))) = answered
            && (lease.is_socket() || self.pool.is_ending())
        {
            // As the watcher is about to find out. Whoever gets this error can know at once what it comes of.
            self.pool.shut_down();
        }
        answered
    }

    /// Makes a channel.
    pub(super) fn add_channel(&self) -> Result<(), CallError> {
        if !self.supported.contains(MessageId::CHANNEL) {
            return Err(CallError::Unsupported(MessageId::CHANNEL));
        }
        let mut lease = self.acquire()?;
        add_channel(&self.pool, lease.communicator(), self.max_message, self.time_limit, self.watchers())
    }

    /// A free communicator. If there is none, and may be more, one is made.
    fn acquire(&self) -> Result<Lease<'_>, Ended> {
        loop {
            match self.pool.acquire()? {
                Acquired::Free(lease) => return Ok(lease),
                Acquired::ForMore(socket) => self.make_more(socket),
            }
        }
    }

    /// Makes another channel over the socket.
    #[cold]
    fn make_more(&self, mut socket: Lease<'_>) {
        let (limit, watchers) = (self.time_limit, self.watchers());
        let made = add_channel(&self.pool, socket.communicator(), self.max_message, limit, watchers);
        if let Err(error) = made {
            tracing::debug!(%error, channels = self.pool.channels(), "no more channels to the server");
            self.pool.stop_growing();
        }
        drop(socket);
        self.pool.has_grown();
    }

    /// Gives `fds` back to the server.
    pub(super) fn give_back(&self, fds: FdArray<'_>) {
        if let Err(error) = self.call(&CloseReq { fds }, |answer| answer.decode::<CloseResp>()) {
            // There is nobody to tell: the server keeps them until the connection ends.
            tracing::debug!(message = ?MessageId::CLOSE, %error, "cannot give descriptors back");
        }
    }

    /// [`call`](Self::call) for those who hand errnos on.
    pub(super) fn ask<'q, Q: Message<'q>, R>(
        &self,
        request: &Q,
        read: impl FnOnce(Answer<'_>) -> Result<R, CallError>,
    ) -> Result<R, Errno> {
        self.call(request, read).map_err(|error| error.into_errno(Q::ID))
    }
}
