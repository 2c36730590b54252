//! The loop of a thread that serves a channel.

use std::os::fd::AsFd;

use super::channels::Start;
use super::context::Context;
use super::exchange::{Reply, Request};
use super::session::Session;
use crate::backend::Errno;
use crate::transport::{Channel, Ended, FdSocket, Fds};
use crate::wire::{ChannelHeader, MessageId, Wire};

const HEADER: usize = size_of::<ChannelHeader>();

/// Serves a channel until it ends.
pub(super) fn serve(session: &Session, start: &mut Start) {
    match answer_all(session, start) {
        Ok(()) | Err(Ended::ShutDown) => tracing::debug!("a channel has ended"),
        Err(problem) => session.warn_once(&problem),
    }
}

fn answer_all(session: &Session, Start { channel, fds }: &mut Start) -> Result<(), Ended> {
    let mut context = Context::new(session);
    let mut buffer = vec![0; session.max_message];
    channel.handshake(None)?;
    loop {
        let len = channel.wait(None)?;
        if len == 0 {
            // The client says goodbye.
            return Ok(());
        }
        let len = len.checked_sub(HEADER).ok_or(Ended::Protocol("a datagram has no room for its header"))?;
        let header = header(channel)?;
        let (payload_len, donated) = answer(&mut context, channel, &mut buffer, header, len);
        let sent = send(fds, &donated);
        channel.target().put(0, zerocopy::IntoBytes::as_bytes(&ChannelHeader::new(payload_len.0, sent)));
        // What could not be sent is closed, the client makes do without.
        drop(donated);
        channel.pass(HEADER + payload_len.1)?;
    }
}

/// The header of a request. How many descriptors it claims to have does not matter: requests have none.
fn header(channel: &Channel) -> Result<MessageId, Ended> {
    let mut bytes = [0; HEADER];
    channel.window().source(0, HEADER).get(0, &mut bytes);
    let header = ChannelHeader::from_bytes(&bytes).map_err(|_| Ended::Protocol("a datagram has no header"))?;
    Ok(MessageId(header.message))
}

/// Answers a request of `len` bytes that stands in the window: what the answer is, how long, and what comes with it.
fn answer(
    context: &mut Context<'_>,
    channel: &mut Channel,
    buffer: &mut [u8],
    message: MessageId,
    len: usize,
) -> ((MessageId, usize), Fds) {
    let max = context.session.max_message;
    if len > max {
        let mut reply = Reply::new(channel.target().into_part(HEADER, max));
        reply.fail(Errno::IO);
        return ((MessageId::ERROR, reply.len()), Fds::new());
    }
    let private = Request::private_len(message, len);
    channel.window().source(HEADER, private).get(0, &mut buffer[..private]);
    // The answer may stand where the request did, for that was copied; but not where data is still to be read from.
    let (target, data) = match len - private {
        0 => {
            let (target, data) = channel.split(HEADER + max, 0);
            (target.into_part(HEADER, max), data)
        }
        data => {
            let (target, data) = channel.split(HEADER + private, data);
            (target.into_part(HEADER, private), data)
        }
    };
    let mut reply = Reply::new(target);
    let message = context.answer(message, Request { payload: &buffer[..private], data }, &mut reply);
    ((message, reply.len()), std::mem::take(reply.fds()))
}

/// Sends descriptors as far as possible, and says how many it were.
fn send(socket: &FdSocket, fds: &Fds) -> u8 {
    let mut sent = 0;
    for fd in fds {
        if let Err(error) = socket.send(fd.as_fd()) {
            tracing::debug!(%error, "the client does not take a descriptor");
            break;
        }
        sent += 1;
    }
    sent
}
