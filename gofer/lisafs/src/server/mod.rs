//! Serving: connections, their FDs, the tree of positions, and one handler for each message.
//!
//! A [`Server`] is shared by all connections of a process. [`Server::connect`] starts everything a connection needs,
//! its threads included, so that nothing has to be started later: one thread answers the socket, and one is parked for
//! each channel that the client may ask for. Every thread answers one request after the other (`dispatch`); what is
//! common to the threads of a connection is its `Session`. The concrete file system is behind [`Backend`] and not known
//! here.
//!
//! # Locks
//!
//! A thread takes locks in this order only, and releases those of the last two kinds before it calls anything else:
//!
//! 1. the listing position of an open directory (`Open::position`);
//! 2. the rename lock of the server: shared for calls on positions, exclusive for renames (`tree`);
//! 3. locks of nodes: a directory before its child; a file that is no directory last;
//! 4. shards of the FD table, the list of free entries, slots of channels;
//! 5. a node's parent and name, then the children of one node.
//!
//! 1 to 3 do not exist on connections whose backend does without them, but for the position. Data operations (calls of
//! [`OpenFile`](crate::backend::OpenFile)) take no rename lock, and nobody who has it waits for them: whoever finds a
//! node locked lets go of the rename lock before waiting. So a slow disk holds up one file and not the tree.
//!
//! # FDs
//!
//! A descriptor is complete before its number works, and putting it into the table is the last thing a handler does.
//! Handlers hold references of their own, so that a descriptor may be closed on one communicator while it is used on
//! another. Handlers keep what they have made in private memory until it is in the table, so that a failure anywhere
//! drops it again.

mod channels;
mod connection;
mod context;
mod direct;
mod dispatch;
mod entry;
mod exchange;
mod fds;
mod handlers;
mod observer;
mod serve_channel;
mod serve_socket;
mod session;
mod tree;

pub use connection::{ConnectError, Connection};
pub(crate) use direct::Answered;
pub use direct::Direct;
pub use observer::Observer;

use std::os::fd::OwnedFd;
use std::sync::Arc;

use crate::backend::{Backend, Options};
use parking_lot::{Condvar, Mutex};
use tree::Tree;

/// What all connections of a process share: one tree, one set of locks.
#[derive(Debug)]
pub struct Server {
    tree: Tree,
    channels: usize,
    /// Whether the thread of a channel is only made when the client asks for the channel.
    late_threads: bool,
    gate: Gate,
}

impl Server {
    /// How many channels a connection may have by default. Clients ask for up to four.
    pub const CHANNELS: usize = 4;

    /// A server without connections.
    pub fn new() -> Arc<Self> {
        Self::with_channels(Self::CHANNELS)
    }

    /// A server whose connections may have up to `channels` channels each, and as many threads for them. Clients need
    /// one.
    pub fn with_channels(channels: usize) -> Arc<Self> {
        Arc::new(Server { tree: Tree::new(), channels, late_threads: false, gate: Gate::default() })
    }

    /// A server for many connections: threads of channels are made when clients ask for channels, and not before.
    pub fn with_late_threads() -> Arc<Self> {
        Self::with_late_channels(Self::CHANNELS)
    }

    /// The same for clients that ask for as many channels as they have calls, up to `channels` each.
    pub fn with_late_channels(channels: usize) -> Arc<Self> {
        Arc::new(Server { tree: Tree::new(), channels, late_threads: true, gate: Gate::default() })
    }

    /// A server that answers nothing before [`release`](Self::release), for a process that gives up rights when all its
    /// connections have been made.
    pub fn held() -> Arc<Self> {
        Arc::new(Server { tree: Tree::new(), channels: Self::CHANNELS, late_threads: false, gate: Gate::held() })
    }

    /// Begins to answer.
    pub fn release(&self) {
        self.gate.open();
    }

    /// Serves the client at the other end of `socket` from `backend`, which is mounted at `mount_path`: an absolute
    /// path that says where the files are in relation to those of other connections.
    ///
    /// All threads of the connection are started now.
    pub fn connect(
        self: &Arc<Self>,
        socket: OwnedFd,
        mount_path: &[u8],
        backend: Arc<dyn Backend>,
    ) -> Result<Connection, ConnectError> {
        let options = backend.options();
        self.connect_with(socket, mount_path, backend, options)
    }

    /// The same with other options than the backend's own, for a mount that is to be stricter.
    pub fn connect_with(
        self: &Arc<Self>,
        socket: OwnedFd,
        mount_path: &[u8],
        backend: Arc<dyn Backend>,
        options: Options,
    ) -> Result<Connection, ConnectError> {
        Connection::start(self, socket, mount_path, backend, options, None)
    }

    /// The same, with somebody who hears of every answer and of the connection's end.
    pub fn connect_observed(
        self: &Arc<Self>,
        socket: OwnedFd,
        mount_path: &[u8],
        backend: Arc<dyn Backend>,
        options: Options,
        observer: Arc<dyn Observer>,
    ) -> Result<Connection, ConnectError> {
        Connection::start(self, socket, mount_path, backend, options, Some(observer))
    }

    /// Returns when requests may be answered.
    fn wait_for_release(&self) {
        self.gate.pass();
    }

    fn tree(&self) -> &Tree {
        &self.tree
    }
}

/// Keeps clients waiting until everything is ready for them. Opens once.
#[derive(Debug, Default)]
struct Gate {
    is_held: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    /// One that has to be opened.
    fn held() -> Self {
        Gate { is_held: Mutex::new(true), opened: Condvar::new() }
    }

    fn open(&self) {
        *self.is_held.lock() = false;
        self.opened.notify_all();
    }

    /// Returns when it is open.
    fn pass(&self) {
        let mut is_held = self.is_held.lock();
        while *is_held {
            self.opened.wait(&mut is_held);
        }
    }
}
