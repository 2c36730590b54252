//! When the thread looks that notices who waits: not at all as long as somebody is free.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::{Thread, park, park_timeout};
use std::time::Duration;

/// How soon it looks again.
const TICK: Duration = Duration::from_millis(1);
/// How soon at most, after it has looked in vain.
const LONGEST: u32 = 8;
/// It sleeps when it has looked so often in vain.
const ENOUGH: u32 = 16;

/// Its state.
#[derive(Debug, Default)]
pub(super) struct Watch {
    thread: OnceLock<Thread>,
    is_on: AtomicBool,
    /// How often it has looked in vain.
    in_vain: AtomicU32,
}

impl Watch {
    /// Makes the thread known.
    pub(super) fn set(&self, thread: Thread) {
        let _ = self.thread.set(thread);
    }

    /// Nobody is free: it must look.
    pub(super) fn begin(&self) {
        if !self.is_on.load(Ordering::Relaxed) && !self.is_on.swap(true, Ordering::SeqCst) {
            self.wake();
        }
    }

    /// Wakes it.
    pub(super) fn wake(&self) {
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }

    /// Sleeps until it is to look, or for `limit`. Returns whether it is to look. `is_needed`: nobody is free.
    pub(super) fn pause(&self, limit: Option<Duration>, is_needed: impl Fn() -> bool) -> bool {
        let in_vain = self.in_vain.load(Ordering::Relaxed);
        if in_vain >= ENOUGH && !is_needed() {
            self.is_on.store(false, Ordering::SeqCst);
            // It may have become so just before, and nobody has told.
            if is_needed() {
                self.is_on.store(true, Ordering::SeqCst);
            }
        }
        if !self.is_on.load(Ordering::SeqCst) {
            self.in_vain.store(0, Ordering::Relaxed);
            match limit {
                Some(limit) => park_timeout(limit),
                None => park(),
            }
            return false;
        }
        let tick = TICK * (1 << in_vain.min(LONGEST.ilog2()));
        park_timeout(limit.map_or(tick, |limit| limit.min(tick)));
        true
    }

    /// It has looked, and that was good for something or not.
    pub(super) fn looked(&self, was_needed: bool) {
        let in_vain = if was_needed { 0 } else { self.in_vain.load(Ordering::Relaxed).saturating_add(1) };
        self.in_vain.store(in_vain, Ordering::Relaxed);
    }
}
