//! Setting a connection up: Mount on the socket, then the channels.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use crate::transport::{Channel, Ended, FdSocket, PeerMemory, Role, Socket, Window};
use crate::wire::message::{ChannelReq, ChannelResp, MountReq, MountResp};
use crate::wire::{INITIAL_MAX_MESSAGE_SIZE, Inode, MessageId, MessageSet};

use super::calls::check_inode;
use super::closes::Closes;
use super::communicator::{Communicator, window_size};
use super::error::{CallError, ConnectError};
use super::exchange::{Connection, exchange};
use super::pool::Pool;
use super::watcher::{self, OnDisconnect};
use super::{Client, ClientOptions, LARGEST_MESSAGE, Root, SMALLEST_MESSAGE};

/// The answer to Mount, in private memory.
struct Mounted {
    root: Inode,
    donated: Option<OwnedFd>,
    max_message: u32,
    supported: MessageSet,
}

pub(super) fn connect(socket: OwnedFd, options: &ClientOptions) -> Result<(Client, Root), ConnectError> {
    let socket = Arc::new(Socket::new(socket));
    let mut communicator = Communicator::socket(socket.clone(), INITIAL_MAX_MESSAGE_SIZE as usize);
    let watchers = (options.trace.as_deref(), options.observer.as_deref());
    let mounted = exchange(&mut communicator, MessageId::MOUNT, &MountReq {}, options.time_limit, watchers, |answer| {
        let (mount, mut fds) = answer.decode_with_fds::<MountResp<'_>>()?;
        check_inode(&mount.root)?;
        Ok(Mounted {
            root: mount.root,
            donated: fds.pop_at(0),
            max_message: mount.max_message_size,
            supported: MessageSet::of(mount.supported.iter().map(MessageId)),
        })
    });
    let mounted = mounted.map_err(|error| ConnectError::Mount(error.to_string()))?;
    if mounted.max_message < SMALLEST_MESSAGE {
        return Err(ConnectError::MessageSize(mounted.max_message));
    }
    let max_message = mounted.max_message.min(LARGEST_MESSAGE) as usize;
    communicator.set_max_message(max_message);

    let connection = Arc::new(Connection {
        pool: Pool::new(socket.clone(), communicator),
        supported: mounted.supported,
        max_message,
        time_limit: options.time_limit,
        closes: Closes::default(),
        trace: options.trace.clone(),
        observer: options.observer.clone(),
    });
    let client = start(socket, connection)?;
    add_channels(&client.connection, options.channels)?;
    Ok((client, Root { inode: mounted.root, donated: mounted.donated }))
}

/// Starts the client's threads, first of all the one that notices the end of the server while channels are being made.
fn start(socket: Arc<Socket>, connection: Arc<Connection>) -> Result<Client, ConnectError> {
    let on_disconnect = Arc::new(OnDisconnect::default());
    let watcher = watcher::start(socket, connection.clone(), on_disconnect.clone()).map_err(ConnectError::Thread)?;
    // From here on, dropping the client ends its threads.
    let mut client = Client { connection: connection.clone(), on_disconnect, threads: vec![watcher] };
    let closer = std::thread::Builder::new()
        .name("lisafs-closer".into())
        .spawn(move || connection.closes.serve(|fds| connection.give_back(fds)))
        .map_err(ConnectError::Thread)?;
    client.threads.push(closer);
    Ok(client)
}

/// Makes up to `wanted` channels. The connection works without any, only slower.
fn add_channels(connection: &Connection, wanted: usize) -> Result<(), ConnectError> {
    for _ in 0..wanted {
        match add_channel(connection) {
            Ok(()) => {}
            Err(_) if connection.pool.is_dead() => return Err(ConnectError::Lost),
            Err(error) if connection.pool.channels() == 0 => {
                tracing::warn!(%error, "no channel to the server; all requests go over the socket");
                return Ok(());
            }
            Err(error) => {
                tracing::debug!(%error, channels = connection.pool.channels(), "no more channels to the server");
                return Ok(());
            }
        }
    }
    Ok(())
}

fn add_channel(connection: &Connection) -> Result<(), CallError> {
    let (channel, fds) = connection.call(&ChannelReq {}, |answer| {
        let (channel, mut fds) = answer.decode_with_fds::<ChannelResp>()?;
        let (Some(socket), Some(memory)) = (fds.pop_at(1), fds.pop_at(0)) else {
            return Err(CallError::Malformed("a channel needs two descriptors"));
        };
        let window = open_window(memory, &channel, connection.max_message)?;
        Ok((Channel::new(window, Role::Client), FdSocket::from(socket)))
    })?;
    add_opened_channel(connection, channel, fds)
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

fn add_opened_channel(connection: &Connection, mut channel: Channel, fds: FdSocket) -> Result<(), CallError> {
    let id = connection.pool.register(channel.stopper())?;
    match channel.handshake(Some(connection.time_limit)) {
        Ok(()) => {
            connection.pool.add(id, Communicator::channel(id.number(), channel, fds, connection.max_message));
            Ok(())
        }
        Err(ended) => {
            connection.pool.retire(Some(id));
            Err(ended.into())
        }
    }
}
