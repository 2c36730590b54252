//! What the tests of the server share: a client that does nothing by itself, and a file system in memory.

pub(crate) mod client;
pub(crate) mod mem;

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lisafs::backend::Backend;
use lisafs::server::{Connection, Server};

use client::Client;

/// How long anything may take before a test fails.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

/// A connected pair of sockets.
pub(crate) fn socket_pair() -> (OwnedFd, OwnedFd) {
    let (one, other) = std::os::unix::net::UnixStream::pair().unwrap();
    (one.into(), other.into())
}

/// A client of `backend`, mounted at the root of `server`.
pub(crate) fn connect(server: &Arc<Server>, backend: Arc<dyn Backend>) -> (Client, Connection) {
    connect_at(server, b"/", backend)
}

/// A client of `backend`, mounted at `path` of `server`.
pub(crate) fn connect_at(server: &Arc<Server>, path: &[u8], backend: Arc<dyn Backend>) -> (Client, Connection) {
    let (ours, theirs) = socket_pair();
    let connection = server.connect(theirs, path, backend).unwrap();
    (Client::new(ours), connection)
}

/// A client of `backend` on a server of its own.
pub(crate) fn serve(backend: Arc<dyn Backend>) -> (Client, Connection) {
    connect(&Server::new(), backend)
}

/// Waits until `condition` holds.
pub(crate) fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !condition() {
        assert!(Instant::now() < deadline, "{what} did not come true");
        std::thread::yield_now();
    }
}
