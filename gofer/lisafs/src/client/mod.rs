//! A LisaFS client: one typed method for each message, over a pool of communicators.
//!
//! Every method may be called from any thread. A call takes a free communicator, encodes its request straight into the
//! packet window, waits for the answer, and decodes it from private memory. With more callers than communicators, more
//! channels are made if that was asked for and the server grants them; else some callers wait.
//!
//! # What a server can do to this client
//!
//! Refuse, answer nonsense, or not answer, but neither crash nor mislead it. An answer that contradicts its request is
//! `EIO`. So is one that does not come in time: its communicator is given up, because the answer could still come and
//! be taken for that of another request. A server that is gone ends all calls at once with `EIO`, and all later ones.
//! Descriptors are owned from the moment they arrive; FDs that nobody will use are given back.
//!
//! # Interruption
//!
//! The protocol cannot take a request back, so calls are not interruptible: whoever must not wait, as a thread that was
//! sent a signal, lets another thread make the call and finish it in the background.

mod calls;
mod channels;
mod closes;
mod communicator;
mod connect;
mod connection;
mod direct;
mod error;
mod exchange;
mod listing;
mod observer;
mod pool;
mod watcher;

pub use calls::{RawAnswer, RawFailure};
pub use error::ConnectError;
pub use error::errno_from_wire;
pub use listing::Listing;
pub use observer::Observer;

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::wire::message::{PReadHead, PWriteHead};
use crate::wire::{FdId, Inode, MessageId};

use crate::server::Direct;
use crate::trace::Recorder;
use connection::Connection;
use watcher::OnDisconnect;

/// A server that takes only smaller messages is of no use: a name of the usual length must fit, and every answer of a
/// fixed size.
const SMALLEST_MESSAGE: u32 = 512;

/// Messages are never made larger than this, whatever the server says.
const LARGEST_MESSAGE: u32 = 8 * 1024 * 1024;

/// How to connect.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ClientOptions {
    /// How many channels to ask for. The server may grant fewer.
    pub channels: usize,
    /// How many there may be in all, as far as the server grants them: those beyond [`channels`](Self::channels) are
    /// made when calls would wait for each other otherwise.
    pub max_channels: usize,
    /// How long an answer may take before it is given up.
    pub time_limit: Duration,
    /// Where every message is recorded.
    pub trace: Option<Arc<Recorder>>,
    /// Who hears of every request.
    pub observer: Option<Arc<dyn Observer>>,
    /// The server's connection, if that is in this process.
    pub direct: Option<Direct>,
}

impl Default for ClientOptions {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let channels = cores.clamp(2, 4);
        let time_limit = Duration::from_secs(30);
        ClientOptions { channels, max_channels: channels, time_limit, trace: None, observer: None, direct: None }
    }
}

impl ClientOptions {
    /// The same with so many channels.
    #[must_use]
    pub fn channels(self, channels: usize) -> Self {
        ClientOptions { channels, max_channels: channels, ..self }
    }

    /// The same with up to so many channels, if there are calls for them.
    #[must_use]
    pub fn max_channels(self, max_channels: usize) -> Self {
        ClientOptions { max_channels, ..self }
    }

    /// The same with another limit for answers.
    #[must_use]
    pub fn time_limit(self, time_limit: Duration) -> Self {
        ClientOptions { time_limit, ..self }
    }

    /// The same, recording every message in `trace`, if there is one.
    #[must_use]
    pub fn trace(self, trace: Option<Arc<Recorder>>) -> Self {
        ClientOptions { trace, ..self }
    }

    /// The same, telling `observer` of every request.
    #[must_use]
    pub fn observer(self, observer: Arc<dyn Observer>) -> Self {
        ClientOptions { observer: Some(observer), ..self }
    }

    /// The same for the other end of a connection in this process: requests are answered on the threads that make them,
    /// without channels, and however long that takes. The socket is only for what comes before the first request, and
    /// for the connection's end.
    #[must_use]
    pub fn direct(self, server: Direct) -> Self {
        ClientOptions { direct: Some(server), ..self }
    }
}

/// What Mount has answered.
#[derive(Debug)]
#[non_exhaustive]
pub struct Root {
    /// The root of the mount and its control FD.
    pub inode: Inode,
    /// A host descriptor of it, if the server gives one away.
    pub donated: Option<OwnedFd>,
}

/// A connection to a server. Dropping it ends it.
pub struct Client {
    connection: Arc<Connection>,
    on_disconnect: Arc<OnDisconnect>,
    threads: Vec<JoinHandle<()>>,
}

impl Client {
    /// Mounts over `socket`, and sets channels up. Without any channel the client works over the socket alone.
    pub fn connect(socket: OwnedFd, options: &ClientOptions) -> Result<(Client, Root), ConnectError> {
        connect::connect(socket, options)
    }

    /// Whether the server says that it understands `id`. Calls it does not understand fail with `EOPNOTSUPP`, unasked.
    pub fn supports(&self, id: MessageId) -> bool {
        self.connection.supported.contains(id)
    }

    /// Whether the connection has ended: the server is gone, or no communicator is left.
    pub fn is_dead(&self) -> bool {
        self.connection.pool.is_dead()
    }

    /// Calls `f` once when the connection ends by itself; now, if it has ended. Dropping the client does not count.
    pub fn on_death(&self, f: impl FnOnce() + Send + 'static) {
        self.on_disconnect.add(Box::new(f));
    }

    /// Ends the connection now. Calls that are under way fail, and so do later ones.
    pub fn disconnect(&self) {
        self.connection.pool.shut_down();
    }

    /// How many channels there are now.
    pub fn channels(&self) -> usize {
        self.connection.pool.channels()
    }

    /// How many calls could be made now that wait for no other.
    pub fn calls_without_waiting(&self) -> usize {
        if self.connection.direct.is_some() { usize::MAX } else { self.connection.pool.free() }
    }

    /// Most bytes that one [`pread`](Self::pread) can read.
    pub fn max_read(&self) -> usize {
        self.connection.max_message - PReadHead::SIZE
    }

    /// Most bytes that one [`pwrite`](Self::pwrite) can write.
    pub fn max_write(&self) -> usize {
        self.connection.max_message - PWriteHead::SIZE
    }

    /// Gives `fd` back, together with others and a little later. Never waits and never fails.
    pub fn close(&self, fd: FdId) {
        self.connection.closes.add([fd]);
    }

    /// [`close`](Self::close) for several.
    pub fn close_all(&self, fds: &[FdId]) {
        self.connection.closes.add(fds.iter().copied());
    }

    /// Gives back now what was closed before, and waits until that is done.
    pub fn flush_closes(&self) {
        self.connection.closes.flush(|fds| self.connection.give_back(fds));
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.on_disconnect.revoke();
        self.connection.closes.stop();
        self.connection.pool.shut_down();
        for thread in self.threads.drain(..) {
            // A function called at the connection's end may have held the last reference: then this is the watcher.
            if thread.thread().id() != std::thread::current().id() && thread.join().is_err() {
                tracing::error!("a thread of the client panicked");
            }
        }
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("dead", &self.is_dead()).finish_non_exhaustive()
    }
}
