//! From the start of a connection to its end.

use std::io;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, mpsc};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::direct::Direct;
use super::session::Session;
use super::{Observer, Server, serve_channel, serve_socket};
use crate::backend::{Backend, Error, Options};
use crate::transport::Socket;

/// Enough for every handler; backends are asked to be modest.
const STACK: usize = 256 << 10;

/// Every answer of a fixed size fits into this.
const SMALLEST_MESSAGE: usize = 512;

/// Packet windows of more than this would be hard on everyone.
const LARGEST_MESSAGE: usize = 1 << 30;

/// Why a connection could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The mount path is not absolute, or has a component that is no name.
    #[error("the mount path must be absolute and must not contain '.' or '..'")]
    MountPath,
    /// The backend asks for a message size that makes no sense.
    #[error("a message size of {0} bytes is out of range")]
    MessageSize(u32),
    /// A thread could not be started.
    #[error("cannot start a thread: {0}")]
    Thread(#[source] io::Error),
}

/// A connection that is being served. Dropping it shuts it down.
#[derive(Debug)]
pub struct Connection {
    life: Arc<Life>,
    direct: Direct,
}

/// What is left of a connection when it has ended.
#[derive(Debug)]
struct Life {
    /// Nothing once everything is released.
    socket: Mutex<Option<Arc<Socket>>>,
    ended: Condvar,
}

impl Connection {
    pub(super) fn start(
        server: &Arc<Server>,
        socket: OwnedFd,
        mount_path: &[u8],
        backend: Arc<dyn Backend>,
        options: Options,
        observer: Option<Arc<dyn Observer>>,
    ) -> Result<Self, ConnectError> {
        let max_message = usize::try_from(options.max_message_size)
            .ok()
            .filter(|max| (SMALLEST_MESSAGE..=LARGEST_MESSAGE).contains(max))
            .ok_or(ConnectError::MessageSize(options.max_message_size))?;
        let session = Session::new(server.clone(), mount_path, backend, options, max_message, observer)
            .map_err(|_: Error| ConnectError::MountPath)?;
        let session = Arc::new(session);
        session.introduce(spawn_channel);
        let socket = Arc::new(Socket::new(socket));
        let life = Arc::new(Life { socket: Mutex::new(Some(socket)), ended: Condvar::new() });

        let (starting, have_started) = mpsc::channel();
        // If a later thread cannot be started, dropping this ends the earlier ones.
        let direct = Direct::to(session.clone());
        let mut serving = Serving {
            session: Some(session.clone()),
            channels: Vec::new(),
            direct: direct.clone(),
            life: life.clone(),
        };
        for index in 0..if server.late_threads { 0 } else { session.channels.count() } {
            session.channels.expect(index);
            serving.channels.push(spawn_channel(&session, index, Some(&starting)).map_err(ConnectError::Thread)?);
        }
        drop(session);
        let server = server.clone();
        spawn("lisafs-socket".to_owned(), Some(&starting), move || {
            server.wait_for_release();
            drop(server);
            let socket = serving.life.socket.lock().clone();
            if let (Some(session), Some(socket)) = (&serving.session, socket) {
                serve_socket::serve(session, &socket);
            }
        })
        .map_err(ConnectError::Thread)?;
        drop(starting);
        // Ends with an error when the last thread has dropped its end. A thread makes system calls of its own at first,
        // and the caller is free to forbid them from now on.
        let _ = have_started.recv();
        Ok(Connection { life, direct })
    }

    /// Waits until the client has gone and everything that belongs to the connection is released.
    pub fn wait(&self) {
        let mut socket = self.life.socket.lock();
        while socket.is_some() {
            self.life.ended.wait(&mut socket);
        }
    }

    /// [`wait`](Self::wait), for `limit` at most. Returns whether the connection has ended.
    pub fn wait_for(&self, limit: Duration) -> bool {
        let mut socket = self.life.socket.lock();
        !self.life.ended.wait_while_for(&mut socket, |socket| socket.is_some(), limit).timed_out()
    }

    /// A way to this connection for a client in this process.
    pub fn direct(&self) -> Direct {
        self.direct.clone()
    }

    /// Whether [`wait`](Self::wait) would not wait.
    pub fn has_ended(&self) -> bool {
        self.life.socket.lock().is_none()
    }

    /// Ends the connection: running requests are finished, the client sees its socket closed.
    pub fn shut_down(&self) {
        if let Some(socket) = &*self.life.socket.lock() {
            socket.shut_down();
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.shut_down();
    }
}

/// Starts the thread that serves channel after channel in slot `index`.
fn spawn_channel(
    session: &Arc<Session>,
    index: usize,
    starting: Option<&mpsc::Sender<()>>,
) -> io::Result<JoinHandle<()>> {
    let session = session.clone();
    spawn(format!("lisafs-chan-{index}"), starting, move || {
        session.channels.serve(index, |start| serve_channel::serve(&session, start));
    })
}

/// Starts a thread that drops its clone of `starting` before it does `f`.
fn spawn(
    name: String,
    starting: Option<&mpsc::Sender<()>>,
    f: impl FnOnce() + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    let starting = starting.cloned();
    let body = move || {
        drop(starting);
        f();
    };
    Builder::new().name(name).stack_size(STACK).spawn(body)
}

/// What must be released when the thread of the socket ends, however it does.
struct Serving {
    session: Option<Arc<Session>>,
    channels: Vec<JoinHandle<()>>,
    direct: Direct,
    life: Arc<Life>,
}

impl Drop for Serving {
    fn drop(&mut self) {
        let mut observer = None;
        if let Some(session) = self.session.take() {
            session.close();
            self.direct.close();
            session.channels.close();
            for thread in self.channels.drain(..).chain(session.take_late_threads()) {
                // It has left its slot already; what it panicked of was reported then.
                let _ = thread.join();
            }
            for fd in session.fds.take_all() {
                release(fd);
            }
            observer = session.observer.clone();
            if catch_unwind(AssertUnwindSafe(|| session.backend.detach())).is_err() {
                tracing::error!("a backend panicked in detach");
            }
            release(session);
        }
        // The last reference: this closes the socket.
        *self.life.socket.lock() = None;
        self.life.ended.notify_all();
        if let Some(observer) = observer {
            observer.ended();
        }
    }
}

/// Drops `thing`, which is the backend's in the end, and survives if that panics.
fn release(thing: impl Sized) {
    if catch_unwind(AssertUnwindSafe(|| drop(thing))).is_err() {
        tracing::error!("a backend panicked while it was dropped");
    }
}
