//! The loop of the thread that serves a connection's socket.

use std::os::fd::{AsFd, BorrowedFd};

use arrayvec::ArrayVec;

use super::context::Context;
use super::exchange::{Reply, Request};
use super::session::Session;
use crate::backend::{Errno, IoSource, IoTarget};
use crate::transport::{Ended, Fds, MAX_FDS, Socket};
use crate::wire::{MessageId, SocketHeader, Wire};

const HEADER: usize = size_of::<SocketHeader>();

/// A payload that is too long is read and thrown away, up to this many bytes; beyond that the connection ends.
const MOST_DISCARDED: usize = 16 << 20;

/// Serves the socket until the client has gone.
pub(super) fn serve(session: &Session, socket: &Socket) {
    match answer_all(session, socket) {
        Ended::ShutDown => tracing::debug!("the client disconnected"),
        problem => session.warn_once(&problem),
    }
}

fn answer_all(session: &Session, socket: &Socket) -> Ended {
    let mut context = Context::new(session);
    let mut request = vec![0; session.max_message];
    let mut answer = vec![0; HEADER + session.max_message];
    loop {
        if let Err(ended) = answer_one(&mut context, socket, &mut request, &mut answer) {
            return ended;
        }
    }
}

fn answer_one(context: &mut Context<'_>, socket: &Socket, buffer: &mut [u8], answer: &mut [u8]) -> Result<(), Ended> {
    let mut header = [0; HEADER];
    socket.receive(&mut header, None, None)?;
    let header = SocketHeader::from_bytes(&header).map_err(|_| Ended::Protocol("a message has no header"))?;
    let len = usize::try_from(header.payload_len).map_err(|_| Ended::Protocol("a message is too long"))?;
    let fits = len <= buffer.len();
    if !fits {
        discard(socket, buffer, len)?;
    } else if len > 0 {
        socket.receive(&mut buffer[..len], None, None)?;
    }

    let (head, body) = answer.split_at_mut(HEADER);
    let mut reply = Reply::new(IoTarget::from(body));
    let message = if fits {
        let message = MessageId(header.message);
        let (payload, data) = buffer[..len].split_at(Request::private_len(message, len));
        context.answer(message, Request { payload, data: IoSource::from(data) }, &mut reply)
    } else {
        reply.fail(Errno::IO);
        MessageId::ERROR
    };
    let len = reply.len();
    let fds: Fds = std::mem::take(reply.fds());
    let payload_len = u32::try_from(len).map_err(|_| Ended::Protocol("an answer is too long"))?;
    head.copy_from_slice(zerocopy::IntoBytes::as_bytes(&SocketHeader::new(message, payload_len)));
    let fds: ArrayVec<BorrowedFd<'_>, MAX_FDS> = fds.iter().map(AsFd::as_fd).collect();
    match socket.send(&answer[..HEADER + len], &fds, None) {
        // A user may have only so many descriptors on their way, and others may not fetch theirs. As on a channel, the
        // client makes do without.
        Err(Ended::System(Errno::TOOMANYREFS)) => socket.send(&answer[..HEADER + len], &[], None),
        sent => sent,
    }
}

/// Reads `len` bytes and forgets them.
fn discard(socket: &Socket, buffer: &mut [u8], len: usize) -> Result<(), Ended> {
    if len > MOST_DISCARDED {
        return Err(Ended::Protocol("a message is much too long"));
    }
    let mut rest = len;
    while rest > 0 {
        let part = rest.min(buffer.len());
        socket.receive(&mut buffer[..part], None, None)?;
        rest -= part;
    }
    Ok(())
}
