//! What a thread is at work on, as others see it.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

use parking_lot::Mutex;
use rustix::time::{ClockId, clock_gettime};

use super::callers::Caller;
use super::origin::Origin;
use crate::fs::identity::NodeId;

/// What becomes of a request whose caller no longer waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum GivingUp {
    /// The caller waits all the same: a change that came later, unnoticed, could hit what others have put in its place.
    Never = 0,
    /// It may end any time.
    Freely = 1,
    /// It may end any time, and what comes after it on the same file waits for that.
    InOrder = 2,
}

/// The request of one thread. It is answered once: by the thread, or by whoever gives it up.
#[derive(Debug)]
pub(super) struct Slot {
    /// The request's number, which is even. 0: there is none. Odd: it was given up, and the thread does not know yet.
    request: AtomicU64,
    /// When it began, in milliseconds.
    since: AtomicU64,
    node: AtomicU64,
    giving_up: AtomicU8,
    /// Whether it counts as one that is worked on, rather than as one that waits for its turn.
    is_counted: AtomicBool,
    caller: AtomicU64,
    origin: Mutex<Origin>,
}

/// In the number of a request: it was given up.
const GIVEN_UP: u64 = 1;

/// A request that can be given up.
pub(super) struct Current {
    pub(super) since: u64,
    pub(super) node: NodeId,
    pub(super) giving_up: GivingUp,
    pub(super) is_counted: bool,
    pub(super) caller: Caller,
}

impl Slot {
    /// A slot of a thread whose requests come from `origin`.
    pub(super) fn new(origin: Origin) -> Self {
        Slot {
            request: AtomicU64::new(0),
            since: AtomicU64::new(0),
            node: AtomicU64::new(0),
            giving_up: AtomicU8::new(0),
            is_counted: AtomicBool::new(false),
            caller: AtomicU64::new(0),
            origin: Mutex::new(origin),
        }
    }

    /// The thread begins with request `unique` about `node`, which came from `origin`.
    pub(super) fn begin(&self, unique: u64, node: NodeId, giving_up: GivingUp, origin: &Origin) {
        self.is_counted.store(true, Ordering::Relaxed);
        self.start(unique, node, giving_up, origin);
    }

    /// The thread waits until it may begin with request `unique`.
    pub(super) fn wait(&self, unique: u64, node: NodeId, origin: &Origin) {
        self.is_counted.store(false, Ordering::Relaxed);
        self.start(unique, node, GivingUp::Freely, origin);
    }

    /// Says who waits for the request that begins next.
    pub(super) fn set_caller(&self, caller: Caller) {
        self.caller.store(caller.packed(), Ordering::Relaxed);
    }

    fn start(&self, unique: u64, node: NodeId, giving_up: GivingUp, origin: &Origin) {
        self.since.store(now(), Ordering::Relaxed);
        self.node.store(node.0, Ordering::Relaxed);
        self.giving_up.store(giving_up as u8, Ordering::Relaxed);
        let mut current = self.origin.lock();
        if !current.is(origin) {
            *current = origin.clone();
        }
        drop(current);
        self.request.store(unique, Ordering::Release);
    }

    /// Takes the right to answer `unique`. `false`: it was given up.
    pub(super) fn claim(&self, unique: u64) -> bool {
        self.request.compare_exchange(unique, 0, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Whether request `unique` was given up.
    pub(super) fn is_given_up(&self, unique: u64) -> bool {
        self.request.load(Ordering::Acquire) == unique | GIVEN_UP
    }

    /// Whether the thread is at work on a request that was given up.
    pub(super) fn has_been_given_up(&self) -> bool {
        self.request.load(Ordering::Acquire) & GIVEN_UP != 0
    }

    /// The thread is done. Returns whether the request was given up.
    pub(super) fn end(&self) -> bool {
        self.request.swap(0, Ordering::AcqRel) & GIVEN_UP != 0
    }

    /// The request that the thread is at work on, given up or not; 0: none.
    pub(super) fn request(&self) -> u64 {
        self.request.load(Ordering::Acquire) & !GIVEN_UP
    }

    /// What is known of request `unique`, if the thread is at work on that.
    pub(super) fn find(&self, unique: u64) -> Option<Current> {
        if self.request.load(Ordering::Acquire) != unique {
            return None;
        }
        let giving_up = match self.giving_up.load(Ordering::Relaxed) {
            1 => GivingUp::Freely,
            2 => GivingUp::InOrder,
            _ => GivingUp::Never,
        };
        let (since, node) = (self.since.load(Ordering::Relaxed), self.node.load(Ordering::Relaxed));
        let is_counted = self.is_counted.load(Ordering::Relaxed);
        let caller = Caller::unpacked(self.caller.load(Ordering::Relaxed));
        // If it is still the same, so was all of this.
        std::sync::atomic::fence(Ordering::Acquire);
        let is_same = self.request.load(Ordering::Relaxed) == unique;
        is_same.then_some(Current { since, node: NodeId(node), giving_up, is_counted, caller })
    }

    /// Takes the right to answer `unique` from the thread. Returns where the answer goes; nothing if it is too late.
    pub(super) fn give_up(&self, unique: u64) -> Option<Origin> {
        // Before: afterwards the thread may take another request.
        let origin = self.origin.lock().clone();
        let taken = self.request.compare_exchange(unique, unique | GIVEN_UP, Ordering::AcqRel, Ordering::Relaxed);
        taken.is_ok().then_some(origin)
    }
}

/// A time in milliseconds, to compare others with. It is some milliseconds late, but costs nothing.
pub(super) fn now() -> u64 {
    let time = clock_gettime(ClockId::MonotonicCoarse);
    let (seconds, nanoseconds) = (time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs());
    seconds * 1000 + nanoseconds / 1_000_000
}

#[cfg(test)]
mod tests {
    use super::super::end::End;
    use super::*;

    fn end() -> Origin {
        Origin::Device(End::new(std::fs::File::open("/dev/null").unwrap().into()))
    }

    #[test]
    fn a_request_is_answered_once() {
        let slot = Slot::new(end());
        slot.begin(4, NodeId(9), GivingUp::Freely, &end());
        assert!(slot.claim(4) && slot.give_up(4).is_none() && !slot.end());
        slot.begin(6, NodeId(9), GivingUp::InOrder, &end());
        let current = slot.find(6).unwrap();
        assert_eq!((current.node, current.giving_up), (NodeId(9), GivingUp::InOrder));
        assert!(slot.find(4).is_none() && slot.give_up(4).is_none());
        assert!(slot.give_up(6).is_some() && slot.is_given_up(6) && slot.request() == 6);
        assert!(!slot.claim(6) && slot.give_up(6).is_none() && slot.find(6).is_none());
        assert!(slot.end() && slot.request() == 0);
    }

    #[test]
    fn who_answers_is_decided_once_under_contention() {
        let slot = Slot::new(end());
        for unique in (2..2000).step_by(2) {
            slot.begin(unique, NodeId(1), GivingUp::Freely, &end());
            let (claimed, given_up) = std::thread::scope(|scope| {
                let other = scope.spawn(|| slot.give_up(unique).is_some());
                (slot.claim(unique), other.join().unwrap())
            });
            assert!(claimed != given_up);
            assert_eq!(slot.end(), given_up);
        }
    }
}
