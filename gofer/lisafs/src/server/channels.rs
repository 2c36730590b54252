//! The channels of a connection: their memory, and the slots in which parked threads wait for them.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::backend::{ClientKind, Error, Result};
use crate::transport::{Channel, Ended, FdSocket, PacketMemory, Role, Stopper};
use crate::wire::ChannelHeader;

/// The channels that a connection has and may have.
pub(super) struct Channels {
    shared: Mutex<Shared>,
    slots: Vec<Slot>,
    capacity: usize,
    client: ClientKind,
}

#[derive(Default)]
struct Shared {
    /// Made for the first channel.
    memory: Option<PacketMemory>,
    closed: bool,
}

/// Where one thread waits for a channel to serve, and serves it.
#[derive(Default)]
struct Slot {
    state: Mutex<SlotState>,
    changed: Condvar,
}

#[derive(Default)]
struct SlotState {
    /// The packet window of this slot. All of its channels use it, one after the other.
    region: Option<(u64, usize)>,
    /// A channel that its thread has not taken yet.
    waiting: Option<Start>,
    /// Ends the channel that waits or is being served. The slot is free if there is none.
    stopper: Option<Stopper>,
    /// No channel will come any more.
    closed: bool,
    /// It has a thread, or will have one in a moment.
    has_thread: bool,
    /// The thread has left.
    left: bool,
}

/// What a thread needs to serve a channel.
pub(super) struct Start {
    /// The server's end.
    pub(super) channel: Channel,
    /// Where descriptors are sent. Nothing is ever read from it: requests have none.
    pub(super) fds: FdSocket,
}

/// What the client is told about a new channel.
pub(super) struct Opened {
    /// Where its window begins.
    pub(super) offset: u64,
    /// How long its window is.
    pub(super) len: usize,
    /// The memory file.
    pub(super) memory: OwnedFd,
    /// The client's end for descriptors.
    pub(super) fds: OwnedFd,
}

impl Channels {
    /// Slots for `count` channels of a `client` with messages of up to `max_message` bytes.
    pub(super) fn new(count: usize, max_message: usize, client: ClientKind) -> Self {
        Channels {
            shared: Mutex::default(),
            slots: (0..count).map(|_| Slot::default()).collect(),
            capacity: size_of::<ChannelHeader>() + max_message,
            client,
        }
    }

    /// How many there may be.
    pub(super) fn count(&self) -> usize {
        self.slots.len()
    }

    /// The thread of slot `index` is about to be made.
    pub(super) fn expect(&self, index: usize) {
        self.slots[index].state.lock().has_thread = true;
    }

    /// Makes a channel and hands it to a parked thread, which `add_thread` makes if the slot has none yet. `ENOMEM` if
    /// all are busy, `ENOSYS` if the connection ends.
    pub(super) fn open(&self, add_thread: impl FnOnce(usize) -> Result<()>) -> Result<Opened> {
        let mut shared = self.shared.lock();
        if shared.closed {
            return Err(Error::NOSYS);
        }
        let is_free = |(_, slot): &(usize, &Slot)| {
            let state = slot.state.lock();
            state.stopper.is_none() && !state.left
        };
        let (index, slot) = self.slots.iter().enumerate().find(is_free).ok_or(Error::NOMEM)?;
        let memory = match &mut shared.memory {
            Some(memory) => memory,
            none => none.insert(PacketMemory::new()?),
        };
        let mut state = slot.state.lock();
        let (offset, len) = match state.region {
            Some((offset, len)) => {
                memory.reset(offset, len)?;
                (offset, len)
            }
            None => *state.region.insert(memory.allocate(self.capacity)?),
        };
        let window = memory.window(offset, len).map_err(|ended| match ended {
            Ended::System(errno) => errno.into(),
            _ => Error::NOMEM,
        })?;
        let (ours, theirs) = FdSocket::pair()?;
        let memory = rustix::io::fcntl_dupfd_cloexec(memory.as_fd(), 3)?;
        let channel = Channel::new(window, Role::Server);
        let channel = if self.client == ClientKind::Sandbox { channel.of_sandbox() } else { channel };
        if !state.has_thread {
            // It waits for the state, which is locked here.
            add_thread(index)?;
            state.has_thread = true;
        }
        state.stopper = Some(channel.stopper());
        state.waiting = Some(Start { channel, fds: ours });
        slot.changed.notify_all();
        Ok(Opened { offset, len, memory, fds: theirs.into() })
    }

    /// What the thread of slot `index` does: serves one channel after the other, until the connection ends.
    pub(super) fn serve(&self, index: usize, serve: impl Fn(&mut Start)) {
        let slot = &self.slots[index];
        let _leaving = Leaving(slot);
        while let Some(mut start) = slot.next() {
            serve(&mut start);
            start.channel.shut_down();
            start.fds.shut_down();
            // Before the slot is free: its window may be mapped again then.
            drop(start);
            slot.state.lock().stopper = None;
        }
    }

    /// Ends all channels for good and waits until their threads have left.
    pub(super) fn close(&self) {
        {
            let mut shared = self.shared.lock();
            shared.closed = true;
            shared.memory = None;
        }
        for slot in &self.slots {
            slot.close();
        }
    }
}

impl Slot {
    /// The next channel to serve, or `None` at the end.
    fn next(&self) -> Option<Start> {
        let mut state = self.state.lock();
        loop {
            if state.closed {
                return None;
            }
            if let Some(start) = state.waiting.take() {
                return Some(start);
            }
            self.changed.wait(&mut state);
        }
    }

    fn close(&self) {
        /// How soon to look again whether the thread has left.
        const AGAIN: Duration = Duration::from_millis(2);
        let mut state = self.state.lock();
        state.closed = true;
        state.waiting = None;
        self.changed.notify_all();
        while state.has_thread && !state.left {
            // A client that overwrites the channel's state can make a single shutdown go unnoticed.
            if let Some(stopper) = &state.stopper {
                stopper.shut_down();
            }
            self.changed.wait_for(&mut state, AGAIN);
        }
        state.stopper = None;
    }
}

/// Tells that the thread of a slot has left, however it does.
struct Leaving<'a>(&'a Slot);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.left = true;
        if let Some(stopper) = &state.stopper {
            stopper.shut_down();
        }
        drop(state);
        self.0.changed.notify_all();
    }
}
