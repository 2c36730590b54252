//! Reading ahead of those who read one byte after the other.
//!
//! A store takes its time for each request, so that enough of them must be under way. How far is read ahead of a reader
//! grows with what it has read, up to its part of the memory that all of them share. Whoever goes on somewhere else
//! loses what was asked for and is not here yet.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::task::AbortHandle;

use crate::node::Node;
use crate::volume::Volume;

/// Bytes that are read ahead of a sequential reader at first, and how many times more each next time.
const FIRST: u64 = 256 << 10;
const GROWTH: u64 = 4;

/// Bytes that are read ahead of a reader at most, however much memory there is.
const MOST: u64 = 64 << 20;

/// A read that begins so near behind or before the end of the last one goes on from it: kernels and caches read ahead by
/// several requests, which do not come in order. It may be further away if more was read ahead: whoever asks grows what
/// he asks for, too.
const NEAR: u64 = 2 << 20;
/// But no further than this, or than what was read ahead: as much as `cache:` has under way at once.
const NEAR_AT_MOST: u64 = 16 << 20;

/// A reader that has not gone on for so long leaves its part of the memory to the others.
const IDLE: Duration = Duration::from_secs(2);

/// Who reads, and when they went on.
pub(crate) struct Readers {
    active: Mutex<Vec<(u64, Instant)>>,
    next: AtomicU64,
    room: u64,
}

impl Readers {
    /// Nobody yet. `cache` is the size of the cache, of which they get half.
    pub(crate) fn new(cache: u64) -> Self {
        Readers { active: Mutex::default(), next: AtomicU64::new(0), room: cache / 2 }
    }

    /// How many bytes may be read ahead of a reader that goes on.
    fn share(&self, reader: u64, now: Instant) -> u64 {
        let mut active = self.active.lock();
        active.retain(|(other, last)| *other != reader && now.duration_since(*last) < IDLE);
        active.push((reader, now));
        (self.room / active.len() as u64).clamp(FIRST.min(self.room), MOST)
    }
}

/// How an open file is read.
pub(crate) struct Ahead {
    reader: u64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    window: Window,
    /// What reads ahead.
    tasks: Vec<AbortHandle>,
}

impl Ahead {
    /// For a file of `volume` that is being opened.
    pub(crate) fn new(volume: &Volume) -> Self {
        Ahead { reader: volume.readers.next.fetch_add(1, Ordering::Relaxed), state: Mutex::default() }
    }

    /// Notes that `count` bytes of the file, which has `size`, are read at `offset`, and has what comes next fetched.
    pub(crate) fn read(&self, volume: &Arc<Volume>, node: &Arc<Node>, (offset, count): (u64, u64), size: u64) {
        let share = || volume.readers.share(self.reader, Instant::now());
        let mut state = self.state.lock();
        match state.window.note(offset, count, size, share) {
            Step::On => {}
            Step::Away => state.abort(),
            Step::Fetch(start, end) => {
                state.tasks.retain(|task| !task.is_finished());
                let block = volume.block();
                let fetch = volume.clone().prefetch(node.clone(), start / block, end.div_ceil(block));
                state.tasks.push(volume.runtime.spawn(fetch).abort_handle());
            }
        }
    }
}

impl State {
    fn abort(&mut self) {
        self.tasks.drain(..).for_each(|task| task.abort());
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.state.get_mut().abort();
    }
}

/// What is known of how a file is read.
#[derive(Default)]
struct Window {
    /// Where the reads so far have ended.
    next: u64,
    /// How far is read ahead, in bytes; zero while reads are not sequential.
    size: u64,
    /// Up to where something was read ahead.
    ahead: u64,
}

/// What a read means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// It goes on where something was read ahead.
    On,
    /// It is somewhere else.
    Away,
    /// From here to before there something is to be fetched.
    Fetch(u64, u64),
}

impl Window {
    /// Notes a read of a file of `size` bytes. `share` is how far may be read ahead.
    fn note(&mut self, offset: u64, count: u64, size: u64, share: impl FnOnce() -> u64) -> Step {
        let is_sequential = match self.size {
            0 => offset == self.next,
            window => offset.abs_diff(self.next) <= (window * GROWTH).clamp(NEAR, NEAR_AT_MOST).max(window),
        };
        if !is_sequential {
            *self = Window { next: offset + count, size: 0, ahead: offset + count };
            return Step::Away;
        }
        self.next = self.next.max(offset + count);
        // Half of what was read ahead is used up: time for more.
        if self.ahead >= size || (self.size > 0 && self.ahead > self.next + self.size / 2) {
            return Step::On;
        }
        self.size = (self.size * GROWTH).max(FIRST).min(share());
        let start = self.ahead.max(self.next);
        let end = (self.next + self.size).min(size);
        self.ahead = self.ahead.max(end);
        if start < end { Step::Fetch(start, end) } else { Step::On }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: u64 = 128 << 10;
    const SHARE: u64 = 16 << 20;

    #[test]
    fn sequential_readers_are_read_ahead_of() {
        const SIZE: u64 = 100 << 20;
        let mut window = Window::default();
        let mut asked = 0;
        for at in (0..SIZE).step_by(128 << 10) {
            if let Step::Fetch(start, end) = window.note(at, STEP, SIZE, || SHARE) {
                assert!(start >= at && end <= SIZE && end - at <= SHARE + STEP, "{at}: {start}..{end}");
                asked += end - start;
            }
        }
        assert!((SIZE - STEP..=SIZE).contains(&asked), "{asked}");
        assert_eq!(window.note(7, 10, SIZE, || SHARE), Step::Away);
        assert_eq!(window.note(90, 10, SIZE, || SHARE), Step::Away);
        assert!(matches!(window.note(100, 10, SIZE, || SHARE), Step::Fetch(..)));
    }

    #[test]
    fn reads_need_not_come_in_order() {
        const SIZE: u64 = 256 << 20;
        let mut window = Window::default();
        let (mut asked, mut times) = (0, 0);
        // Each four the wrong way round.
        for at in (0..SIZE / STEP).map(|number| (if number < 4 { number } else { number ^ 3 }) * STEP) {
            if let Step::Fetch(start, end) = window.note(at, STEP, SIZE, || SHARE) {
                asked += end - start;
                times += 1;
            }
        }
        assert!((SIZE - SHARE..=SIZE).contains(&asked), "{asked}");
        assert!(times <= 2 * SIZE / SHARE + 10, "{times}");
        assert_eq!(window.note(7, 10, SIZE, || SHARE), Step::Away, "this is somewhere else");
    }

    #[test]
    fn many_who_read_one_after_the_other_are_one_reader() {
        const SIZE: u64 = 256 << 20;
        const PART: u64 = 1 << 20;
        let mut window = Window::default();
        // As a cache does it: ever more, and then sixteen at once, of which any may come first.
        let (mut first, mut together) = (0, 1);
        while first < SIZE / PART {
            let behind = (first + together).min(SIZE / PART);
            for part in (first..behind).rev() {
                assert_ne!(window.note(part * PART, PART, SIZE, || SHARE), Step::Away, "{part} of {first} to {behind}");
            }
            (first, together) = (behind, (together * 2).min(16));
        }
    }

    #[test]
    fn readers_share_the_memory_while_they_read() {
        let readers = Readers::new(64 << 20);
        let now = Instant::now();
        assert_eq!(readers.share(1, now), 32 << 20);
        assert_eq!(readers.share(2, now), 16 << 20);
        assert_eq!(readers.share(1, now), 16 << 20);
        assert_eq!(readers.share(1, now + IDLE), 32 << 20, "the other has stopped");
        let many: Vec<u64> = (0..1000).map(|reader| readers.share(reader, now + IDLE)).collect();
        assert_eq!(many.last(), Some(&FIRST));
        assert_eq!(Readers::new(100).share(1, now), 50);
        assert_eq!(Readers::new(1 << 30).share(1, now), MOST);
    }
}
