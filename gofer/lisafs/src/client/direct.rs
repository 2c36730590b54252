//! Requests to a server in the same process: each is answered on the thread that makes it.

use std::cell::Cell;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use crate::server::{Answered, Direct};
use crate::wire::{DoesNotFit, MessageId, Wire};

use super::communicator::{Answer, BoundedBuffer, Payload, grow};
use super::error::CallError;
use super::exchange::Pathway;

thread_local! {
    /// Room for the messages of this thread, while it is free.
    static ROOM: Cell<Option<Box<Room>>> = const { Cell::new(None) };
}

/// Room for a request and its answer.
struct Room {
    /// For people: channels have such numbers, too.
    number: u16,
    request: Vec<u8>,
    answer: Vec<u8>,
}

impl Room {
    fn new() -> Self {
        static NEXT: AtomicU16 = AtomicU16::new(1);
        Room { number: NEXT.fetch_add(1, Ordering::Relaxed), request: Vec::new(), answer: Vec::new() }
    }
}

/// Carries one request, and then another.
pub(super) struct DirectCall<'d> {
    server: &'d Direct,
    max_message: usize,
    room: Option<Box<Room>>,
}

impl<'d> DirectCall<'d> {
    /// To `server`, whose messages have up to `max_message` bytes.
    pub(super) fn new(server: &'d Direct, max_message: usize) -> Self {
        // A backend may be a client itself, and then this thread makes a call within a call.
        DirectCall { server, max_message, room: Some(ROOM.take().unwrap_or_else(|| Box::new(Room::new()))) }
    }

    fn room(&mut self) -> &mut Room {
        self.room.as_mut().expect("it is there until this is dropped")
    }
}

impl Drop for DirectCall<'_> {
    fn drop(&mut self) {
        ROOM.set(self.room.take());
    }
}

impl Pathway for DirectCall<'_> {
    fn number(&self) -> u16 {
        self.room.as_ref().map_or(0, |room| room.number)
    }

    fn transact<'q>(
        &mut self,
        id: MessageId,
        request: &impl Wire<'q>,
        _now: Instant,
        _limit: Duration,
    ) -> Result<Answer<'_>, CallError> {
        let (server, max_message) = (self.server, self.max_message);
        let Room { request: encoded, answer, .. } = self.room();
        encoded.clear();
        let mut sink = BoundedBuffer { bytes: encoded, limit: max_message };
        // Data that is written stays where it is.
        let data = request.encode_head(&mut sink).map_err(|DoesNotFit| CallError::TooLong(id))?;
        if data.len() > max_message - encoded.len() {
            return Err(CallError::TooLong(id));
        }
        let Answered { message, len, fds } = server.answer(id, (encoded, data), grow(answer, max_message))?;
        Ok(Answer { id: message, payload: Payload::Private(&answer[..len]), fds })
    }
}
