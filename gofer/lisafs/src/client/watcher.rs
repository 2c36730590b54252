//! The thread that notices the end of the server.
//!
//! A channel has no death notice: a server that is gone never wakes a futex. Only the socket tells.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::transport::Socket;
use parking_lot::Mutex;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use super::connection::Connection;

/// What to do when the connection ends. Each function is called once.
#[derive(Default)]
pub(super) struct OnDisconnect {
    state: Mutex<WillState>,
}

#[derive(Default)]
struct WillState {
    executed: bool,
    functions: Vec<Box<dyn FnOnce() + Send>>,
}

impl OnDisconnect {
    /// Adds `function`; if the connection has ended already, calls it at once.
    pub(super) fn add(&self, function: Box<dyn FnOnce() + Send>) {
        let mut state = self.state.lock();
        if state.executed {
            drop(state);
            function();
        } else {
            state.functions.push(function);
        }
    }

    /// Calls all functions.
    fn execute(&self) {
        let functions = {
            let mut state = self.state.lock();
            state.executed = true;
            std::mem::take(&mut state.functions)
        };
        functions.into_iter().for_each(|function| function());
    }

    /// Forgets all functions, present and future.
    pub(super) fn revoke(&self) {
        let functions = {
            let mut state = self.state.lock();
            state.executed = true;
            std::mem::take(&mut state.functions)
        };
        drop(functions);
    }
}

/// Starts the thread that waits for the end of `socket`, ends the rest of `connection`, and executes the will.
///
/// Shutting the socket down from this side ends it, too.
pub(super) fn start(
    socket: Arc<Socket>,
    connection: Arc<Connection>,
    on_disconnect: Arc<OnDisconnect>,
) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name("lisafs-watcher".into()).spawn(move || {
        ends_within(&socket, None);
        connection.pool.shut_down();
        connection.closes.stop();
        // The functions may hold the last reference to the client.
        drop(connection);
        on_disconnect.execute();
    })
}

/// Waits for the end of `socket`, up to `limit` if there is one. Returns whether it has ended.
pub(super) fn ends_within(socket: &Socket, limit: Option<Duration>) -> bool {
    let end = PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL;
    let deadline = limit.map(|limit| Instant::now() + limit);
    loop {
        let rest = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let rest = rest.and_then(|rest| rest.try_into().ok());
        let mut fds = [PollFd::new(socket, PollFlags::RDHUP)];
        match poll(&mut fds, rest.as_ref()) {
            Ok(0) => return false,
            Ok(_) if fds[0].revents().intersects(end) => return true,
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => {
                tracing::error!(%error, "cannot watch the server; giving the connection up");
                return true;
            }
        }
    }
}
