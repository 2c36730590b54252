//! Who is in control of a window: two words, and a flag of one's own side.
//!
//! The words are generic so that a model can try all orders in which two sides and a third thread come to them
//! (`cargo xtask loom`).

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::io::Errno;
use rustix::thread::futex;
use rustix::time::Timespec;

use super::Ended;
use super::deadline::Deadline;

pub(super) const CLIENT_ACTIVE: u32 = 0;
pub(super) const SERVER_ACTIVE: u32 = 1;
pub(super) const SHUT_DOWN: u32 = 2;

/// An atomic number that threads can sleep on.
pub(super) trait Word {
    fn load(&self, order: Ordering) -> u32;
    fn store(&self, value: u32, order: Ordering);
    fn swap(&self, value: u32, order: Ordering) -> u32;
    /// Puts `new` in the place of `current`, or says what is there instead.
    fn replace(&self, current: u32, new: u32, order: Ordering) -> Result<(), u32>;
    /// Sleeps while it is `value`, until somebody wakes the sleepers or `limit` has passed; or shorter.
    fn sleep(&self, value: u32, limit: Option<&Timespec>) -> Result<(), Errno>;
    /// Wakes up to `count` sleepers.
    fn wake(&self, count: u32) -> Result<(), Errno>;
}

impl Word for AtomicU32 {
    fn load(&self, order: Ordering) -> u32 {
        self.load(order)
    }

    fn store(&self, value: u32, order: Ordering) {
        self.store(value, order);
    }

    fn swap(&self, value: u32, order: Ordering) -> u32 {
        self.swap(value, order)
    }

    fn replace(&self, current: u32, new: u32, order: Ordering) -> Result<(), u32> {
        self.compare_exchange(current, new, order, Ordering::Relaxed).map(drop)
    }

    fn sleep(&self, value: u32, limit: Option<&Timespec>) -> Result<(), Errno> {
        match futex::wait(self, futex::Flags::empty(), value, limit) {
            Ok(()) | Err(Errno::AGAIN | Errno::INTR | Errno::TIMEDOUT) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn wake(&self, count: u32) -> Result<(), Errno> {
        futex::wake(self, futex::Flags::empty(), count).map(drop)
    }
}

/// One side's view of the words.
pub(super) struct Handover<'a, W> {
    /// Who is in control.
    pub(super) state: &'a W,
    /// How long the datagram is.
    pub(super) len: &'a W,
    /// Not 0 when this side has been shut down. The other cannot write to it.
    pub(super) stopped: &'a W,
    /// What the state is while this side is in control, and while the other is.
    pub(super) own: u32,
    pub(super) other: u32,
}

impl<W: Word> Handover<'_, W> {
    /// Gives control to the other side, with a datagram of `len` bytes.
    pub(super) fn pass(&self, len: u32) -> Result<(), Ended> {
        self.len.store(len, Ordering::Relaxed);
        // Everything written so far must be there when the peer sees that it is in control.
        match self.state.replace(self.own, self.other, Ordering::Release) {
            Ok(()) => Ok(self.state.wake(1)?),
            Err(SHUT_DOWN) => Err(Ended::ShutDown),
            Err(_) => Err(Ended::Protocol("the peer has taken control")),
        }
    }

    /// Whether waiting is over, one way or the other.
    pub(super) fn is_over(&self) -> bool {
        self.state.load(Ordering::Relaxed) != self.other
    }

    /// Waits for control, and returns the length of the datagram that came with it.
    pub(super) fn wait(&self, limit: Option<Duration>) -> Result<u32, Ended> {
        let deadline = Deadline::after(limit);
        loop {
            match self.state.load(Ordering::Acquire) {
                current if current == self.own => break,
                SHUT_DOWN => return Err(Ended::ShutDown),
                current if current == self.other => {}
                _ => return Err(Ended::Protocol("the window is in an unknown state")),
            }
            if self.stopped.load(Ordering::Acquire) != 0 {
                return Err(Ended::ShutDown);
            }
            // The loop looks again; a wake-up alone means nothing.
            self.state.sleep(self.other, deadline.remaining()?.as_ref())?;
        }
        // Read once: the peer could change it between a check and a use.
        Ok(self.len.load(Ordering::Relaxed))
    }
}

/// Ends the channel for both sides, and wakes whoever waits on it.
pub(super) fn shut_down<W: Word>(state: &W, stopped: &W) {
    // A peer that overwrites the state again cannot keep a thread of ours waiting.
    stopped.store(1, Ordering::Release);
    state.swap(SHUT_DOWN, Ordering::AcqRel);
    if let Err(error) = state.wake(i32::MAX as u32) {
        tracing::debug!(%error, "cannot wake the other end of a channel");
    }
}

#[cfg(all(test, loom))]
mod model;
