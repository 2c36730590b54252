//! What was read ahead of one open file.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::fetchers::Permit;
use super::{Content, FRESH, SLOW};

/// How many chunks are on their way or there, at most.
const DEEPEST: usize = 8;

/// Bytes of a chunk, if readers do not ask for more at once.
const CHUNK: usize = 1 << 18;

/// As many reads in a row must have been slow.
const SLOW_READS: u32 = 2;

/// The window of an open file.
#[derive(Default)]
pub(in crate::fs) struct Ahead {
    window: Mutex<Window>,
    arrived: Condvar,
}

#[derive(Default)]
struct Window {
    /// Where a reader goes on.
    next: u64,
    /// How many reads in a row were slow, each where the last one has ended.
    slow: u32,
    /// How many chunks there should be.
    depth: usize,
    /// One behind the other.
    chunks: VecDeque<Chunk>,
    tickets: u64,
}

struct Chunk {
    ticket: u64,
    range: Range<u64>,
    asked: Instant,
    version: u64,
    state: State,
    _permit: Permit,
}

enum State {
    Coming,
    There(Arc<Vec<u8>>),
    Failed,
}

/// A part of what a reader wants.
pub(super) struct Part {
    data: Arc<Vec<u8>>,
    range: Range<usize>,
}

impl Part {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.data[self.range.clone()]
    }
}

/// What is to be read ahead: up to `count` chunks of `length` bytes from `offset` on, none of it behind `end`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) offset: u64,
    pub(super) count: usize,
    pub(super) length: usize,
    pub(super) end: u64,
    pub(super) version: u64,
}

impl Window {
    fn drop_all(&mut self) {
        self.chunks.clear();
        (self.slow, self.depth) = (0, 0);
    }

    /// Drops what is behind the reader, and everything if the rest is too old for who has asked at `asked`.
    fn drop_old(&mut self, content: Content, asked: Instant) {
        while self.chunks.front().is_some_and(|chunk| chunk.range.end <= self.next) {
            self.chunks.pop_front();
        }
        let Some(first) = self.chunks.front() else { return };
        if first.version != content.version {
            self.chunks.clear();
        } else if asked.duration_since(first.asked) > FRESH {
            // It was too much for this reader.
            self.chunks.clear();
            // As the next plan has twice as much, this is half.
            self.depth /= 4;
            if self.depth == 0 {
                self.drop_all();
            }
        }
    }
}

impl Ahead {
    /// Whether a reader who asks for `size` bytes at `offset` may get something that was read ahead, or is to.
    pub(super) fn is_of_use(&self, offset: u64, size: usize) -> bool {
        let mut window = self.window.lock();
        if window.next == offset && (window.slow >= SLOW_READS || !window.chunks.is_empty()) {
            return true;
        }
        if window.next != offset {
            window.drop_all();
        }
        window.next = offset.saturating_add(size as u64);
        false
    }

    /// What there is for a reader who has asked at `asked` for `size` bytes at `offset`, in parts that follow each
    /// other from there on. Waits for what is on its way.
    pub(super) fn take(&self, offset: u64, size: usize, content: Content, asked: Instant) -> Vec<Part> {
        let mut window = self.window.lock();
        let end = offset.saturating_add(size as u64);
        if window.next != offset {
            window.drop_all();
            window.next = end;
            return Vec::new();
        }
        window.drop_old(content, asked);
        window.next = end;
        let mut parts = Vec::new();
        let mut at = offset;
        while at < end {
            // A chunk goes only when somebody reads behind it, or elsewhere.
            let Some(chunk) = window.chunks.iter().find(|chunk| chunk.range.contains(&at)) else { break };
            match &chunk.state {
                State::Coming => self.arrived.wait(&mut window),
                State::Failed => {
                    window.drop_all();
                    break;
                }
                State::There(data) => {
                    let place = |at: u64| usize::try_from(at - chunk.range.start).unwrap_or(usize::MAX);
                    let until = end.min(chunk.range.end);
                    parts.push(Part { data: data.clone(), range: place(at)..place(until) });
                    at = until;
                }
            }
        }
        parts
    }

    /// What to read ahead now, when a reader goes on who asks for `size` bytes at a time. Answers have up to
    /// `most` bytes.
    pub(super) fn plan(&self, size: usize, content: Content, most: usize) -> Option<Plan> {
        let mut window = self.window.lock();
        if window.slow < SLOW_READS || size == 0 {
            return None;
        }
        let length = (CHUNK.max(size) / size * size).min(most.max(1));
        let offset = window.chunks.back().map_or(window.next, |last| last.range.end);
        if offset >= content.size {
            return None;
        }
        window.depth = (window.depth * 2).clamp(2, DEEPEST);
        let there = window.chunks.iter().filter(|chunk| chunk.range.end > window.next).count();
        let count = window.depth.saturating_sub(there);
        (count > 0).then_some(Plan { offset, count, length, end: content.size, version: content.version })
    }

    /// `length` bytes at `offset` are asked for at `asked`, when the file's content was `version`.
    pub(super) fn expect(&self, asked: Instant, offset: u64, length: usize, version: u64, permit: Permit) -> u64 {
        let mut window = self.window.lock();
        window.tickets += 1;
        let ticket = window.tickets;
        let range = offset..offset + length as u64;
        window.chunks.push_back(Chunk { ticket, range, asked, version, state: State::Coming, _permit: permit });
        ticket
    }

    /// Whether what was to be asked for as `ticket` still is of use.
    pub(super) fn is_expected(&self, ticket: u64) -> bool {
        self.window.lock().chunks.iter().any(|chunk| chunk.ticket == ticket)
    }

    /// What is expected as `ticket` has come after so long, or cannot be had.
    pub(super) fn arrived(&self, ticket: u64, data: Option<Vec<u8>>, took: Duration) {
        let mut window = self.window.lock();
        if took < SLOW && data.is_some() {
            // It is quick by now. What was fetched is used up.
            window.slow = 0;
        }
        if let Some(chunk) = window.chunks.iter_mut().find(|chunk| chunk.ticket == ticket) {
            chunk.state = data.map_or(State::Failed, |data| State::There(Arc::new(data)));
        }
        drop(window);
        self.arrived.notify_all();
    }

    /// A reader has waited so long for what was not read ahead.
    pub(super) fn answered(&self, took: Duration) {
        let mut window = self.window.lock();
        window.slow = if took < SLOW { 0 } else { window.slow.saturating_add(1) };
    }
}

#[cfg(test)]
mod tests;
