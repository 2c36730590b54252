//! Setting a connection up: Mount on the socket, then the channels.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use crate::transport::Socket;
use crate::wire::message::{MountReq, MountResp};
use crate::wire::{INITIAL_MAX_MESSAGE_SIZE, Inode, MessageId, MessageSet};

use super::calls::check_inode;
use super::closes::Closes;
use super::communicator::Communicator;
use super::connection::Connection;
use super::error::ConnectError;
use super::exchange::exchange;
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
        direct: options.direct.clone(),
        supported: mounted.supported,
        max_message,
        time_limit: options.time_limit,
        closes: Closes::default(),
        trace: options.trace.clone(),
        observer: options.observer.clone(),
    });
    let client = start(socket, connection)?;
    if options.direct.is_some() {
        return Ok((client, Root { inode: mounted.root, donated: mounted.donated }));
    }
    add_channels(&client.connection, options.channels)?;
    let connection = &client.connection;
    // A server that has refused one refuses more.
    if connection.pool.channels() == options.channels && connection.supported.contains(MessageId::CHANNEL) {
        connection.pool.grow_by(options.max_channels.saturating_sub(options.channels));
    }
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
        match connection.add_channel() {
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
