//! Attributes that came with the answer to a lookup, for the rest of the same system call.
//!
//! Where names and attributes hold for no time, the kernel looks a name up for `stat(2)` and asks for the attributes
//! again at once; and everywhere for `statx(2)` that wants the time of birth, which it does not get with a name. It does
//! not say that both are for one call; but if the same thread asks for the same file right after the lookup and for
//! nothing in between, and nothing was changed through this mount meanwhile, they are. Of files that somebody has open
//! nothing is remembered: the kernel writes to donated ones without a request.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::handler::Told;
use crate::fs::identity::NodeId;

/// How long after the answer to a lookup the kernel asks at most.
const MOMENT: Duration = Duration::from_millis(2);

/// As many threads are remembered.
const MOST_THREADS: usize = 1 << 10;

/// What threads were told last.
#[derive(Default)]
pub(super) struct Moments(Mutex<State>);

#[derive(Default)]
struct State {
    told: HashMap<u32, (Told, Instant)>,
    /// Beginnings and ends of requests that change something, so far: who has asked in the middle of one may have been
    /// told what was before.
    changes: u64,
    /// Those of them that are under way.
    changing: usize,
}

/// A request that changes something is under way.
pub(super) struct Changing<'a>(&'a Moments);

/// When a lookup began.
#[derive(Clone, Copy)]
pub(super) struct Begun(u64);

impl Moments {
    /// A lookup of `thread` begins.
    pub(super) fn begin(&self, thread: u32) -> Begun {
        let mut state = self.0.lock();
        state.told.remove(&thread);
        Begun(state.changes)
    }

    /// `thread` is about to be `told` the outcome of a lookup.
    pub(super) fn remember(&self, thread: u32, told: Told, begun: Begun) {
        let mut state = self.0.lock();
        if thread == 0 || state.changing > 0 || state.changes != begun.0 {
            return;
        }
        if state.told.len() >= MOST_THREADS {
            state.told.clear();
        }
        state.told.insert(thread, (told, Instant::now()));
    }

    /// What `thread` was told of `id`, if that was just now. Once: who asks again does so in another call.
    pub(super) fn recall(&self, thread: u32, id: NodeId) -> Option<Told> {
        let (told, since) = self.0.lock().told.remove(&thread)?;
        (told.id == id && since.elapsed() < MOMENT).then_some(told)
    }

    /// `thread` asks for something else.
    pub(super) fn end(&self, thread: u32) {
        self.0.lock().told.remove(&thread);
    }

    /// To be held while something is changed.
    pub(super) fn changing(&self) -> Changing<'_> {
        let mut state = self.0.lock();
        state.told.clear();
        state.changes += 1;
        state.changing += 1;
        Changing(self)
    }
}

impl Drop for Changing<'_> {
    fn drop(&mut self) {
        let mut state = self.0.0.lock();
        state.changes += 1;
        state.changing -= 1;
    }
}

#[cfg(test)]
mod tests {
    use lisafs::wire::Statx;

    use super::*;

    fn told(id: u64) -> Told {
        Told { id: NodeId(id), stat: Statx::default(), ttl: Duration::ZERO }
    }

    /// Whether thread 1 still knows file 2, of which it has been told, after `between`. A machine may be too slow for
    /// that now and then.
    fn is_known(between: impl Fn(&Moments)) -> bool {
        (0..1000).any(|_| {
            let moments = Moments::default();
            moments.remember(1, told(2), moments.begin(1));
            between(&moments);
            moments.recall(1, NodeId(2)).is_some()
        })
    }

    #[test]
    fn it_is_for_the_same_thread_that_asks_for_the_same_file_next() {
        assert!(is_known(|_| {}));
        assert!(is_known(|moments| moments.end(3)));
        assert!(!is_known(|moments| _ = moments.recall(1, NodeId(2))));
        assert!(!is_known(|moments| moments.end(1)));
        assert!(!is_known(|moments| _ = moments.begin(1)));
        assert!(!is_known(|moments| moments.remember(1, told(3), moments.begin(1))));
        assert!(!is_known(|moments| drop(moments.changing())));
        let moments = Moments::default();
        moments.remember(1, told(2), moments.begin(1));
        assert!(moments.recall(1, NodeId(3)).is_none() && moments.recall(2, NodeId(2)).is_none());
    }

    #[test]
    fn what_may_have_changed_meanwhile_is_not_remembered() {
        for _ in 0..100 {
            let moments = Moments::default();
            let begun = moments.begin(1);
            let changing = moments.changing();
            moments.remember(1, told(2), begun);
            moments.remember(3, told(2), moments.begin(3));
            let in_the_middle = moments.begin(5);
            drop(changing);
            moments.remember(4, told(2), begun);
            moments.remember(5, told(2), in_the_middle);
            assert!([1, 3, 4, 5].iter().all(|thread| moments.recall(*thread, NodeId(2)).is_none()));
        }
    }
}
