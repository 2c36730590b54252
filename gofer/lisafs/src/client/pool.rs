//! The communicators of a connection, and who uses which.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::sync::{AtomicBool, Condvar, Mutex};
use crate::transport::{Ended, Socket, Stopper};

use super::communicator::Communicator;
use super::watcher::ends_within;

/// Hands out communicators, each to one thread at a time.
///
/// The channel that was used last is used next, because its memory is warm; the socket is used if no channel is free,
/// at first to make more of them.
pub(super) struct Pool {
    state: Mutex<State>,
    freed: Condvar,
    socket: Arc<Socket>,
    dead: AtomicBool,
}

struct State {
    /// Free channels, the one used last on top.
    channels: Vec<Idle>,
    /// The socket's communicator, while it is free.
    socket: Option<Communicator>,
    /// What ends the channels in use and not in use.
    stoppers: Vec<(ChannelId, Stopper)>,
    socket_alive: bool,
    next_id: ChannelId,
    /// How many more channels may be made when all are in use.
    room: usize,
    /// Whether channels that are given up may be replaced.
    can_grow: bool,
    /// Somebody is making one.
    is_growing: bool,
    dead: bool,
}

/// What a thread gets that wants to make a call.
pub(super) enum Acquired<'a> {
    /// A communicator for it.
    Free(Lease<'a>),
    /// The socket, to make another channel with. [`Pool::has_grown`] must follow.
    ForMore(Lease<'a>),
}

struct Idle {
    id: ChannelId,
    communicator: Communicator,
}

/// Tells the channels of a pool apart.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct ChannelId(u64);

impl ChannelId {
    /// Its number for people: channels are counted from 1.
    pub(super) fn number(self) -> u16 {
        u16::try_from(self.0 + 1).unwrap_or(u16::MAX)
    }
}

/// A communicator in use. It goes back to the pool, or is given up if it is out of step.
pub(super) struct Lease<'a> {
    pool: &'a Pool,
    /// There until the lease is dropped.
    communicator: Option<Communicator>,
    /// `None` for the socket.
    id: Option<ChannelId>,
}

impl Pool {
    /// A pool of the socket's communicator alone.
    pub(super) fn new(socket: Arc<Socket>, communicator: Communicator) -> Self {
        let state = State {
            channels: Vec::new(),
            socket: Some(communicator),
            stoppers: Vec::new(),
            socket_alive: true,
            next_id: ChannelId(0),
            room: 0,
            can_grow: false,
            is_growing: false,
            dead: false,
        };
        Pool { state: Mutex::new(state), freed: Condvar::new(), socket, dead: AtomicBool::new(false) }
    }

    /// Makes sure that `stopper` is used when the pool ends, already before its channel can be [added](Self::add).
    pub(super) fn register(&self, stopper: Stopper) -> Result<ChannelId, Ended> {
        let mut state = self.state.lock();
        if state.dead {
            return Err(Ended::ShutDown);
        }
        let id = state.next_id;
        state.next_id = ChannelId(id.0 + 1);
        state.stoppers.push((id, stopper));
        Ok(id)
    }

    /// Adds the channel registered as `id`.
    pub(super) fn add(&self, id: ChannelId, communicator: Communicator) {
        let mut state = self.state.lock();
        if state.dead {
            return;
        }
        state.channels.push(Idle { id, communicator });
        drop(state);
        self.freed.notify_one();
    }

    /// From now on, up to `room` channels more are made when all are in use.
    pub(super) fn grow_by(&self, room: usize) {
        let mut state = self.state.lock();
        (state.room, state.can_grow) = (room, room > 0);
    }

    /// No more channels can be had.
    pub(super) fn stop_growing(&self) {
        self.grow_by(0);
    }

    /// Whoever was to make a channel is done.
    pub(super) fn has_grown(&self) {
        self.state.lock().is_growing = false;
        // The socket is free for calls, or for the next one to make a channel.
        self.freed.notify_all();
    }

    /// A free communicator; waits until there is one.
    pub(super) fn acquire(&self) -> Result<Acquired<'_>, Ended> {
        let mut state = self.state.lock();
        loop {
            if state.dead {
                return Err(Ended::ShutDown);
            }
            if let Some(Idle { id, communicator }) = state.channels.pop() {
                return Ok(Acquired::Free(Lease { pool: self, communicator: Some(communicator), id: Some(id) }));
            }
            if !state.is_growing
                && let Some(communicator) = state.socket.take()
            {
                let lease = Lease { pool: self, communicator: Some(communicator), id: None };
                if state.room == 0 {
                    return Ok(Acquired::Free(lease));
                }
                state.room -= 1;
                state.is_growing = true;
                return Ok(Acquired::ForMore(lease));
            }
            // Every communicator in use comes back or is given up within the time limit of its call.
            self.freed.wait(&mut state);
        }
    }

    /// Ends all communicators; who waits for an answer or for a communicator fails at once.
    pub(super) fn shut_down(&self) {
        let mut state = self.state.lock();
        self.dead.store(true, Ordering::Release);
        state.dead = true;
        state.channels.clear();
        state.socket = None;
        let stoppers = std::mem::take(&mut state.stoppers);
        drop(state);
        self.freed.notify_all();
        for (_, stopper) in stoppers {
            stopper.shut_down();
        }
        self.socket.shut_down();
    }

    /// Whether the server has ended the socket, or does within a moment: one that ends in good order ends its channels,
    /// too, and these may be seen to end before it.
    pub(super) fn is_ending(&self) -> bool {
        /// How long a server may take between the two.
        const MOMENT: Duration = Duration::from_millis(200);
        self.is_dead() || ends_within(&self.socket, Some(MOMENT))
    }

    /// Whether the pool has ended.
    pub(super) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Acquire)
    }

    /// How many channels there are.
    pub(super) fn channels(&self) -> usize {
        self.state.lock().stoppers.len()
    }

    /// How many channels are free or can be made.
    pub(super) fn free(&self) -> usize {
        let state = self.state.lock();
        state.channels.len() + state.room
    }

    /// Gives up the channel `id`, or the socket. The connection ends with its last communicator.
    pub(super) fn retire(&self, id: Option<ChannelId>) {
        let mut state = self.state.lock();
        let stopper = match id {
            None => {
                // Its descriptor stays open: the channels live only as long as it does.
                state.socket_alive = false;
                None
            }
            Some(id) => {
                let at = state.stoppers.iter().position(|(other, _)| *other == id);
                state.room += usize::from(state.can_grow && at.is_some());
                at.map(|at| state.stoppers.swap_remove(at).1)
            }
        };
        let last = !state.socket_alive && state.stoppers.is_empty();
        drop(state);
        if let Some(stopper) = stopper {
            stopper.shut_down();
        }
        // There may be room for another one.
        self.freed.notify_one();
        if last {
            self.shut_down();
        }
    }

    fn release(&self, id: Option<ChannelId>, communicator: Communicator) {
        let mut state = self.state.lock();
        if state.dead {
            return;
        }
        match id {
            Some(id) => state.channels.push(Idle { id, communicator }),
            None => state.socket = Some(communicator),
        }
        drop(state);
        self.freed.notify_one();
    }
}

impl Lease<'_> {
    pub(super) fn communicator(&mut self) -> &mut Communicator {
        self.communicator.as_mut().expect("a lease has its communicator until it is dropped")
    }

    /// Whether it is the socket, with which the connection ends.
    pub(super) fn is_socket(&self) -> bool {
        self.id.is_none()
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        let Some(communicator) = self.communicator.take() else { return };
        if communicator.in_flight() {
            self.pool.retire(self.id);
        } else {
            self.pool.release(self.id, communicator);
        }
    }
}

#[cfg(all(test, loom))]
mod model;
