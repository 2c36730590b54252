//! Passing control of a packet window back and forth.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use super::handover::{CLIENT_ACTIVE, Handover, SERVER_ACTIVE, shut_down};
use super::spin::{self, Spin};
use super::window::Mapping;
use super::{Ended, Window};
use crate::iobuf::{IoSource, IoTarget};

/// Which end of a channel this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Sends requests. In control of a new window.
    Client,
    /// Answers them.
    Server,
}

/// What each side sends first: an empty set of options, as JSON.
const HELLO: &[u8] = b"{}\n";

/// One end of a channel. Datagrams of at least four bytes follow a handshake.
///
/// A channel is used by one thread at a time; any other may shut it down meanwhile with a [`Stopper`].
#[derive(Debug)]
pub struct Channel {
    window: Window,
    role: Role,
    stopper: Stopper,
    spin: Spin,
}

/// Shuts a channel down while another thread uses it.
#[derive(Clone, Debug)]
pub struct Stopper {
    mapping: Arc<Mapping>,
    stopped: Arc<AtomicU32>,
}

impl Channel {
    /// The end `role` of the channel in `window`.
    pub fn new(window: Window, role: Role) -> Self {
        let stopper = Stopper { mapping: window.mapping().clone(), stopped: Arc::default() };
        Channel { window, role, stopper, spin: Spin::new(spin::LONGEST) }
    }

    /// This end, which serves a sandbox: it leaves the processor to others sooner.
    pub(crate) fn of_sandbox(self) -> Self {
        Channel { spin: Spin::new(spin::FOR_SANDBOXES), ..self }
    }

    /// What shuts this channel down from another thread.
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    fn handover(&self) -> Handover<'_, AtomicU32> {
        let (own, other) = match self.role {
            Role::Client => (CLIENT_ACTIVE, SERVER_ACTIVE),
            Role::Server => (SERVER_ACTIVE, CLIENT_ACTIVE),
        };
        let (state, len) = (self.window.state(), self.window.datagram_len());
        Handover { state, len, stopped: &self.stopper.stopped, own, other }
    }

    /// The window, for as long as this end is in control.
    pub fn window(&self) -> &Window {
        &self.window
    }

    /// The room for a datagram, for as long as this end is in control.
    pub fn target(&mut self) -> IoTarget<'_> {
        self.window.target()
    }

    /// The room for a datagram in two parts, see [`Window::split`].
    pub fn split(&mut self, at: usize, len: usize) -> (IoTarget<'_>, IoSource<'_>) {
        self.window.split(at, len)
    }

    /// Says hello and waits for the peer to do so: the client first, then the server.
    pub fn handshake(&mut self, limit: Option<Duration>) -> Result<(), Ended> {
        if self.role == Role::Client {
            self.target().put(0, HELLO);
            self.pass(HELLO.len())?;
            let len = self.wait(limit)?;
            return self.check_hello(len);
        }
        let len = self.wait(limit)?;
        self.check_hello(len)?;
        self.target().put(0, HELLO);
        self.pass(HELLO.len())
    }

    /// Any JSON object or `null` is a hello: there are no options yet, and unknown ones are ignored.
    fn check_hello(&self, len: usize) -> Result<(), Ended> {
        /// A longer hello than any that makes sense.
        const LONGEST: usize = 4096;
        if len > LONGEST {
            return Err(Ended::Protocol("the hello is too long"));
        }
        let hello = self.window.source(0, len).to_vec();
        let first = serde_json::Deserializer::from_slice(&hello).into_iter::<serde_json::Value>().next();
        match first {
            Some(Ok(serde_json::Value::Object(_) | serde_json::Value::Null)) => Ok(()),
            _ => Err(Ended::Protocol("the hello is not a JSON object")),
        }
    }

    /// Gives control to the peer, with a datagram of `len` bytes.
    pub fn pass(&self, len: usize) -> Result<(), Ended> {
        let len = u32::try_from(len).map_err(|_| Ended::Protocol("the datagram is too long"))?;
        self.handover().pass(len)
    }

    /// Waits for the peer to give control back, and returns the length of its datagram in bytes.
    ///
    /// With a time limit, a peer that does not answer in time ends the channel: it must not be used again.
    pub fn wait(&self, limit: Option<Duration>) -> Result<usize, Ended> {
        let handover = self.handover();
        self.spin.until(|| handover.is_over());
        let len = handover.wait(limit)? as usize;
        if len > self.window.capacity() {
            return Err(Ended::Protocol("the datagram is longer than its window"));
        }
        Ok(len)
    }

    /// Ends the channel for both sides, and wakes whoever waits on it.
    pub fn shut_down(&self) {
        self.stopper.shut_down();
    }
}

impl Stopper {
    /// Ends the channel for both sides, and wakes whoever waits on it.
    pub fn shut_down(&self) {
        shut_down(self.mapping.state(), &self.stopped);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (Channel, Channel) {
        let (client, server) = Window::pair();
        (Channel::new(client, Role::Client), Channel::new(server, Role::Server))
    }

    #[test]
    fn control_goes_back_and_forth() {
        let (mut client, mut server) = pair();
        let thread = std::thread::spawn(move || {
            server.handshake(None).unwrap();
            let len = server.wait(None).unwrap();
            let request = server.window().source(0, len).to_vec();
            server.target().put(0, b"answer");
            server.pass(6).unwrap();
            (request, server.wait(None))
        });
        client.handshake(None).unwrap();
        client.target().put(0, b"request");
        client.pass(7).unwrap();
        assert_eq!(client.wait(None), Ok(6));
        assert_eq!(client.window().source(0, 6).to_vec(), b"answer");
        client.shut_down();
        assert_eq!(thread.join().unwrap(), (b"request".to_vec(), Err(Ended::ShutDown)));
        assert_eq!(client.pass(4), Err(Ended::ShutDown));
    }

    #[test]
    fn a_waiting_thread_is_woken_by_its_own_side() {
        let (client, _server) = pair();
        client.pass(3).unwrap();
        let stopper = client.stopper();
        let waiting = std::thread::spawn(move || client.wait(None));
        stopper.shut_down();
        assert_eq!(waiting.join().unwrap(), Err(Ended::ShutDown));
    }

    #[test]
    fn a_silent_peer_runs_into_the_time_limit() {
        let (mut client, _server) = pair();
        assert_eq!(client.handshake(Some(Duration::from_millis(5))), Err(Ended::TimedOut));
    }

    #[test]
    fn a_hello_that_is_none_is_refused() {
        for (hello, fine) in
            [(&b"{}"[..], true), (b"null", true), (b" {\"a\": 1} \n", true), (b"", false), (b"\x03\0\0", false)]
        {
            let (mut client, mut server) = pair();
            client.target().put(0, hello);
            client.pass(hello.len()).unwrap();
            assert_eq!(server.handshake(None).is_ok(), fine, "{hello:?}");
        }
    }

    #[test]
    fn a_length_beyond_the_window_is_refused() {
        let (client, server) = pair();
        client.pass(client.window().capacity() + 1).unwrap();
        assert!(matches!(server.wait(None), Err(Ended::Protocol(_))));
    }
}
