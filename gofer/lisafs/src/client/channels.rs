//! Making channels.

use std::os::fd::OwnedFd;
use std::time::Duration;

use crate::trace::Recorder;
use crate::transport::{Channel, Ended, FdSocket, PeerMemory, Role, Window};
use crate::wire::MessageId;
use crate::wire::message::{ChannelReq, ChannelResp};

use super::communicator::{Communicator, window_size};
use super::error::CallError;
use super::exchange::exchange;
use super::observer::Observer;
use super::pool::Pool;

/// Asks for a channel over `communicator`, and adds it to `pool`.
pub(super) fn add_channel(
    pool: &Pool,
    communicator: &mut Communicator,
    max_message: usize,
    limit: Duration,
    watchers: (Option<&Recorder>, Option<&dyn Observer>),
) -> Result<(), CallError> {
    let (mut channel, fds) = exchange(communicator, MessageId::CHANNEL, &ChannelReq {}, limit, watchers, |answer| {
        let (channel, mut fds) = answer.decode_with_fds::<ChannelResp>()?;
        let (Some(socket), Some(memory)) = (fds.pop_at(1), fds.pop_at(0)) else {
            return Err(CallError::Malformed("a channel needs two descriptors"));
        };
        let window = open_window(memory, &channel, max_message)?;
        Ok((Channel::new(window, Role::Client), FdSocket::from(socket)))
    })?;
    let id = pool.register(channel.stopper())?;
    match channel.handshake(Some(limit)) {
        Ok(()) => {
            pool.add(id, Communicator::channel(id.number(), channel, fds, max_message));
            Ok(())
        }
        Err(ended) => {
            pool.retire(Some(id));
            Err(ended.into())
        }
    }
}

/// Maps the window that `channel` describes, if it is one that cannot hurt: a window that is not within its file, or a
/// file that can shrink, would be a fatal signal later, and one without room for a message an unexpected error.
fn open_window(memory: OwnedFd, channel: &ChannelResp, max_message: usize) -> Result<Window, CallError> {
    let malformed = |_| CallError::Malformed("the packet window is impossible");
    let offset = u64::try_from(channel.data_offset).map_err(malformed)?;
    let len = usize::try_from(channel.data_length).map_err(malformed)?;
    if len < window_size(max_message) {
        return Err(CallError::Malformed("the packet window is smaller than a message"));
    }
    // What is refused here ends no communicator: the answer itself was whole.
    let window =
        PeerMemory::new(memory).and_then(|memory| memory.window(offset, len)).map_err(|ended| match ended {
            Ended::Protocol(what) => CallError::Malformed(what),
            other => CallError::Ended(other),
        })?;
    Ok(window)
}
