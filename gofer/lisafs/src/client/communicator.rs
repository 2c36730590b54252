//! One pathway for requests and their answers: the socket, or a channel.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::iobuf::{IoSource, IoTarget};
use crate::transport::{Channel, Ended, FdSocket, Fds, Socket, Window};
use crate::wire::{ChannelHeader, DoesNotFit, Message, MessageId, Sink, SocketHeader, Wire};

use super::error::CallError;
use super::exchange::Pathway;

/// Bytes of the two headers.
const SOCKET_HEADER: usize = size_of::<SocketHeader>();
const CHANNEL_HEADER: usize = size_of::<ChannelHeader>();

/// How long a thread sleeps at most before it looks again whether its channel was shut down. The wake-up can miss it if
/// the server writes to the window at the wrong moment.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);

/// Bytes a packet window must have to hold any message of up to `max_message` bytes.
pub(super) fn window_size(max_message: usize) -> usize {
    Window::HEADER + CHANNEL_HEADER + max_message
}

/// A pathway that carries one request at a time, and its answer. It is used by one thread at a time.
pub(super) struct Communicator {
    /// 0 is the socket, others are channels.
    number: u16,
    path: Path,
    max_message: usize,
    in_flight: bool,
}

enum Path {
    Socket(SocketEnd),
    Channel(ChannelEnd),
}

struct SocketEnd {
    socket: Arc<Socket>,
    output: Vec<u8>,
    input: Vec<u8>,
}

struct ChannelEnd {
    channel: Channel,
    fds: FdSocket,
    input: Vec<u8>,
}

/// An answer that has arrived. Its descriptors are owned by it and closed with it.
pub(super) struct Answer<'a> {
    /// What kind of answer: the request's, or an error.
    pub(super) id: MessageId,
    /// Its content.
    pub(super) payload: Payload<'a>,
    /// Its descriptors.
    pub(super) fds: Fds,
}

/// The content of an answer, where it arrived.
pub(super) enum Payload<'a> {
    /// In memory that nobody else writes to.
    Private(&'a [u8]),
    /// In memory that the server may write to, with room to copy it to.
    Shared(IoSource<'a>, &'a mut Vec<u8>),
}

impl<'a> Payload<'a> {
    /// Its bytes as they arrived, to be copied or handed to a system call.
    pub(super) fn source(&self) -> IoSource<'a> {
        match self {
            Payload::Private(bytes) => IoSource::from(*bytes),
            Payload::Shared(source, _) => *source,
        }
    }

    /// Its bytes in memory that nobody else writes to.
    pub(super) fn into_private(self) -> &'a [u8] {
        match self {
            Payload::Private(bytes) => bytes,
            Payload::Shared(source, room) => {
                let private = grow(room, source.len());
                source.get(0, private);
                private
            }
        }
    }
}

impl<'a> Answer<'a> {
    /// What it says; its descriptors, if any, are closed.
    pub(super) fn decode<M: Message<'a>>(self) -> Result<M, CallError> {
        Ok(M::from_bytes(self.payload.into_private())?)
    }

    /// What it says, and its descriptors.
    pub(super) fn decode_with_fds<M: Message<'a>>(self) -> Result<(M, Fds), CallError> {
        Ok((M::from_bytes(self.payload.into_private())?, self.fds))
    }
}

impl Communicator {
    /// The main socket.
    pub(super) fn socket(socket: Arc<Socket>, max_message: usize) -> Self {
        let path = Path::Socket(SocketEnd { socket, output: Vec::new(), input: Vec::new() });
        Communicator { number: 0, path, max_message, in_flight: false }
    }

    /// The channel `number`, counted from 1, after its handshake. Its window has at least [`window_size`] bytes.
    pub(super) fn channel(number: u16, channel: Channel, fds: FdSocket, max_message: usize) -> Self {
        let path = Path::Channel(ChannelEnd { channel, fds, input: Vec::new() });
        Communicator { number, path, max_message, in_flight: false }
    }

    /// Whether a request was sent whose answer has not arrived. It may still do so at any time, and would then be taken
    /// for the answer to another request: such a communicator must not be used again.
    pub(super) fn in_flight(&self) -> bool {
        self.in_flight
    }

    /// Leaves it as after a request whose answer has not come.
    #[cfg(all(test, loom))]
    pub(super) fn pretend_in_flight(&mut self) {
        self.in_flight = true;
    }

    /// Sets the largest payload in either direction.
    pub(super) fn set_max_message(&mut self, max_message: usize) {
        self.max_message = max_message;
    }
}

impl Pathway for Communicator {
    /// 0 is the socket, others are channels.
    fn number(&self) -> u16 {
        self.number
    }

    fn transact<'q>(
        &mut self,
        id: MessageId,
        request: &impl Wire<'q>,
        now: Instant,
        limit: Duration,
    ) -> Result<Answer<'_>, CallError> {
        let deadline = now + limit;
        let answer = match &mut self.path {
            Path::Socket(end) => {
                end.encode(id, request, self.max_message)?;
                self.in_flight = true;
                end.socket.send(&end.output, &[], Some(limit))?;
                end.receive(self.max_message, deadline)?
            }
            Path::Channel(end) => {
                let len = end.encode(id, request, self.max_message)?;
                self.in_flight = true;
                end.channel.pass(len)?;
                end.receive(self.max_message, deadline)?
            }
        };
        if answer.id != id && answer.id != MessageId::ERROR {
            return Err(Ended::Protocol("the answer belongs to another request").into());
        }
        self.in_flight = false;
        Ok(answer)
    }
}

impl SocketEnd {
    /// Writes header and payload into the buffer from which they are sent.
    fn encode<'q>(&mut self, id: MessageId, request: &impl Wire<'q>, max_message: usize) -> Result<(), CallError> {
        self.output.clear();
        self.output.extend_from_slice(&[0; SOCKET_HEADER]);
        let mut sink = BoundedBuffer { bytes: &mut self.output, limit: SOCKET_HEADER + max_message };
        request.encode(&mut sink).map_err(|DoesNotFit| CallError::TooLong(id))?;
        let payload = u32::try_from(self.output.len() - SOCKET_HEADER).map_err(|_| CallError::TooLong(id))?;
        let header = SocketHeader::new(id, payload);
        self.output[..SOCKET_HEADER].copy_from_slice(zerocopy::IntoBytes::as_bytes(&header));
        Ok(())
    }

    fn receive(&mut self, max_message: usize, deadline: Instant) -> Result<Answer<'_>, CallError> {
        let mut fds = Fds::new();
        let mut header = [0; SOCKET_HEADER];
        self.socket.receive(&mut header, Some(&mut fds), Some(remaining(deadline)))?;
        let header = SocketHeader::from_bytes(&header)?;
        // Before any memory is set aside for it.
        let len = usize::try_from(header.payload_len).ok().filter(|len| *len <= max_message);
        let len = len.ok_or(Ended::Protocol("the answer is longer than any message"))?;
        let payload = grow(&mut self.input, len);
        self.socket.receive(payload, None, Some(remaining(deadline)))?;
        Ok(Answer { id: MessageId(header.message), payload: Payload::Private(payload), fds })
    }
}

impl ChannelEnd {
    /// Writes header and payload straight into the window, and says how long they are together.
    fn encode<'q>(&mut self, id: MessageId, request: &impl Wire<'q>, max_message: usize) -> Result<usize, CallError> {
        let mut target = self.channel.target();
        let mut sink = WindowSink { target: target.part(0, CHANNEL_HEADER + max_message), at: 0 };
        let header = ChannelHeader::new(id, 0);
        header.encode(&mut sink).and_then(|()| request.encode(&mut sink)).map_err(|_| CallError::TooLong(id))?;
        Ok(sink.at)
    }

    fn wait(&self, deadline: Instant) -> Result<usize, Ended> {
        loop {
            let remaining = remaining(deadline);
            match self.channel.wait(Some(remaining.min(LONGEST_SLEEP))) {
                Err(Ended::TimedOut) if remaining > LONGEST_SLEEP => {}
                result => return result,
            }
        }
    }

    fn receive(&mut self, max_message: usize, deadline: Instant) -> Result<Answer<'_>, CallError> {
        let len = self.wait(deadline)?;
        let payload = len.checked_sub(CHANNEL_HEADER).filter(|len| *len <= max_message);
        let payload = payload.ok_or(Ended::Protocol("the answer has an invalid length"))?;
        let window = self.channel.window();
        let mut header = [0; CHANNEL_HEADER];
        window.source(0, CHANNEL_HEADER).get(0, &mut header);
        let header = ChannelHeader::from_bytes(&header)?;
        let mut fds = Fds::new();
        for _ in 0..header.num_fds {
            // The server may have failed to send some, but those it did send must not stay for the next answer:
            // those beyond the number that any message has are taken, too, and closed.
            let Some(fd) = self.fds.receive() else { break };
            let _ = fds.try_push(fd);
        }
        let payload = Payload::Shared(window.source(CHANNEL_HEADER, payload), &mut self.input);
        Ok(Answer { id: MessageId(header.message), payload, fds })
    }
}

/// `len` bytes of `buffer`, with whatever is in them. It only ever grows: nothing is allocated or cleared once it is
/// large enough.
pub(super) fn grow(buffer: &mut Vec<u8>, len: usize) -> &mut [u8] {
    if buffer.len() < len {
        // Of new memory from the system, what nobody writes to takes no room. Most messages are far from the longest.
        *buffer = vec![0; len];
    }
    &mut buffer[..len]
}

fn remaining(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}

/// Encodes into private memory, up to a limit.
pub(super) struct BoundedBuffer<'a> {
    pub(super) bytes: &'a mut Vec<u8>,
    pub(super) limit: usize,
}

impl Sink for BoundedBuffer<'_> {
    fn put(&mut self, bytes: &[u8]) -> Result<(), DoesNotFit> {
        if bytes.len() > self.limit - self.bytes.len() {
            return Err(DoesNotFit);
        }
        self.bytes.put(bytes)
    }
}

/// Encodes into a packet window.
struct WindowSink<'a> {
    target: IoTarget<'a>,
    at: usize,
}

impl Sink for WindowSink<'_> {
    fn put(&mut self, bytes: &[u8]) -> Result<(), DoesNotFit> {
        if bytes.len() > self.target.len() - self.at {
            return Err(DoesNotFit);
        }
        self.target.put(self.at, bytes);
        self.at += bytes.len();
        Ok(())
    }
}
