//! What the threads of one connection share.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak, mpsc};
use std::thread::JoinHandle;

use parking_lot::Mutex;

use super::channels::Channels;
use super::entry::{BoundSocket, Content, Control, Held, Open};
use super::fds::{FdTable, NewFd, Ticket};
use super::tree::{MountPath, Node, Place, Tree, read_data, write_data};
use super::{Observer, Server};
use crate::backend::{Attachment, Backend, ControlFile, Error, FileType, Found, OpenFile, Options, Result, Statx};
use crate::wire::{FdId, Inode};

/// Starts the thread that serves the channels in one slot, and drops its clone of the sender before it does so.
pub(super) type SpawnChannel = fn(&Arc<Session>, usize, Option<&mpsc::Sender<()>>) -> io::Result<JoinHandle<()>>;

/// One connection, as its handlers see it.
pub(super) struct Session {
    server: Arc<Server>,
    /// The file system.
    pub(super) backend: Arc<dyn Backend>,
    /// How it wants to be served.
    pub(super) options: Options,
    /// Largest payload.
    pub(super) max_message: usize,
    /// The client's FDs.
    pub(super) fds: FdTable,
    /// The client's channels.
    pub(super) channels: Channels,
    mount: Option<MountPath>,
    closing: AtomicBool,
    has_warned: AtomicBool,
    /// Who hears of answers.
    pub(super) observer: Option<Arc<dyn Observer>>,
    /// Itself and how a channel's thread is started, for threads that are made later.
    itself: OnceLock<(Weak<Session>, SpawnChannel)>,
    /// Threads of channels that were made when they were asked for.
    late_threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Session {
    /// A connection without FDs.
    pub(super) fn new(
        server: Arc<Server>,
        mount_path: &[u8],
        backend: Arc<dyn Backend>,
        options: Options,
        max_message: usize,
        observer: Option<Arc<dyn Observer>>,
    ) -> Result<Self> {
        let path = server.tree().mount_path(mount_path)?;
        Ok(Session {
            backend,
            max_message,
            fds: FdTable::new(options.max_fds),
            channels: Channels::new(server.channels.min(options.max_channels), max_message, options.client),
            mount: options.tree_locks.then_some(path),
            closing: AtomicBool::new(false),
            has_warned: AtomicBool::new(false),
            observer,
            itself: OnceLock::new(),
            late_threads: Mutex::default(),
            options,
            server,
        })
    }

    /// Lets the session know its owner, and how to start threads. Comes before everything else.
    pub(super) fn introduce(self: &Arc<Self>, spawn: SpawnChannel) {
        self.itself.get_or_init(|| (Arc::downgrade(self), spawn));
    }

    /// Makes the thread of channel slot `index`; `ENOMEM` if it cannot.
    pub(super) fn add_channel_thread(&self, index: usize) -> Result<()> {
        let (session, spawn) = self.itself.get().ok_or(Error::NOSYS)?;
        let session = session.upgrade().ok_or(Error::NOSYS)?;
        let thread = spawn(&session, index, None).map_err(|error| {
            tracing::warn!(%error, "a client gets no channel");
            Error::NOMEM
        })?;
        self.late_threads.lock().push(thread);
        Ok(())
    }

    /// What [`add_channel_thread`](Self::add_channel_thread) has made, to be joined.
    pub(super) fn take_late_threads(&self) -> Vec<JoinHandle<()>> {
        std::mem::take(&mut *self.late_threads.lock())
    }

    /// Whether the connection is about to end and takes no requests.
    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// Takes no more requests.
    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::Release);
    }

    /// Reports what the client did wrong: where people see it the first time, for debugging after that.
    pub(super) fn warn_once(&self, problem: &dyn std::fmt::Display) {
        if self.has_warned.swap(true, Ordering::Relaxed) {
            tracing::debug!(%problem, "protocol violation by the client");
        } else {
            tracing::warn!(%problem, "protocol violation by the client");
        }
    }

    /// The locks of the tree.
    pub(super) fn tree(&self) -> &Tree {
        self.server.tree()
    }

    /// The control FD `id`.
    pub(super) fn control(&self, id: FdId) -> Result<Held<Control>> {
        self.fds.get(id)
    }

    /// The control FD `id`, which must be a directory.
    pub(super) fn directory(&self, id: FdId) -> Result<Held<Control>> {
        let control = self.control(id)?;
        if control.is_dir() { Ok(control) } else { Err(Error::NOTDIR) }
    }

    /// The open FD `id`.
    pub(super) fn open(&self, id: FdId) -> Result<Held<Open>> {
        self.fds.get(id)
    }

    /// The bound-socket FD `id`.
    pub(super) fn socket(&self, id: FdId) -> Result<Held<BoundSocket>> {
        self.fds.get(id)
    }

    /// Calls `f` with a file that nobody changes meanwhile.
    pub(super) fn read<R>(&self, control: &Control, f: impl FnOnce(&dyn ControlFile) -> R) -> R {
        match &control.node {
            Some(node) => self.tree().read(node, || f(&*control.file)),
            None => f(&*control.file),
        }
    }

    /// Calls `f` with a file that nobody uses meanwhile.
    pub(super) fn write<R>(&self, control: &Control, f: impl FnOnce(&dyn ControlFile) -> R) -> R {
        match &control.node {
            Some(node) => self.tree().write(node, || f(&*control.file)),
            None => f(&*control.file),
        }
    }

    /// Calls `f` with a directory that nobody uses meanwhile; `EINVAL` if it was removed.
    pub(super) fn change<R>(&self, dir: &Control, f: impl FnOnce(&dyn ControlFile) -> Result<R>) -> Result<R> {
        self.write(dir, |file| if dir.is_deleted() { Err(Error::INVAL) } else { f(file) })
    }

    /// The root of the mount, and its position on connections with locks.
    pub(super) fn attach(&self) -> Result<(Attachment, Option<Arc<Node>>)> {
        let Some(path) = &self.mount else { return Ok((self.backend.attach()?, None)) };
        let (attached, node) =
            self.tree().mount(path, || self.backend.attach(), |attached| is_dir(&attached.root.stat))?;
        Ok((attached, Some(node)))
    }
}

/// Calls `f` with an open file to which nobody writes meanwhile.
pub(super) fn reading<R>(open: &Open, f: impl FnOnce(&dyn OpenFile) -> R) -> R {
    match &open.node {
        Some(node) => read_data(node, || f(&*open.file)),
        None => f(&*open.file),
    }
}

/// Calls `f` with an open file that nobody uses meanwhile.
pub(super) fn writing<R>(open: &Open, f: impl FnOnce(&dyn OpenFile) -> R) -> R {
    match &open.node {
        Some(node) => write_data(node, || f(&*open.file)),
        None => f(&*open.file),
    }
}

/// Attributes of a file whose type is known; `EIO` if the backend has changed it, which no client could bear.
pub(super) fn same_type(stat: Statx, file_type: Option<FileType>) -> Result<Statx> {
    if stat.file_type() == file_type {
        return Ok(stat);
    }
    tracing::debug!(now = ?stat.file_type(), before = ?file_type, "a file has changed its type");
    Err(Error::IO)
}

/// A name in a directory whose node is known.
pub(super) fn place<'a>(dir: &'a Control, name: &'a [u8]) -> Option<Place<'a>> {
    dir.node.as_ref().map(|node| Place { dir: node, name })
}

impl<'t> Ticket<'t> {
    /// A control FD, and what the client is told about it.
    pub(super) fn control(self, found: Found, node: Option<Arc<Node>>) -> (NewFd<'t>, Inode) {
        let Found { file, stat } = found;
        let fd = self.fill(Content::Control(Control { file, file_type: stat.file_type(), node }));
        let inode = Inode { control_fd: fd.id, stat };
        (fd, inode)
    }

    /// A control FD of a file that was just made at `name` in `dir`.
    pub(super) fn child(self, dir: &Control, name: &[u8], found: Found) -> (NewFd<'t>, Inode) {
        let is_dir = is_dir(&found.stat);
        let node = dir.node.as_ref().map(|dir| Node::new_child(dir, name, is_dir));
        self.control(found, node)
    }

    /// An open FD.
    pub(super) fn open(self, opened: Open) -> NewFd<'t> {
        self.fill(Content::Open(opened))
    }

    /// A bound-socket FD.
    pub(super) fn socket(self, socket: BoundSocket) -> NewFd<'t> {
        self.fill(Content::Socket(socket))
    }
}

/// Whether these are a directory's attributes.
pub(super) fn is_dir(stat: &Statx) -> bool {
    stat.file_type() == Some(FileType::Directory)
}
