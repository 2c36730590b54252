//! A server that says what a test wants it to say, byte for byte.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use lisafs::client::{Client, ClientOptions, ConnectError, Root};
use lisafs::trace::Recorder;
use lisafs::transport::{Channel, Ended, FdSocket, PacketMemory, Role, Socket};
use lisafs::wire::message::{
    ChannelResp, CloseReq, ErrorResp, FStatReq, Getdents64Resp, MountResp, PReadHead, PReadReq, PWriteReq, PWriteResp,
    WalkReq, WalkResp,
};
use lisafs::wire::{
    Array, ChannelHeader, Dirent, Dirents, FdId, Inode, MessageId, Pad, Reader, SocketHeader, Statx, StatxMask,
    WalkStatus, Wire,
};
use parking_lot::{Condvar, Mutex};
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType, sendmsg, socketpair,
};

/// Long enough for any machine, short enough for a test that hangs.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(20);

/// Long enough for an honest answer on a busy machine, short enough to be waited for.
pub(crate) const SHORT: Duration = Duration::from_secs(3);

/// A request as it arrived.
pub(crate) struct Request {
    pub(crate) id: MessageId,
    pub(crate) payload: Vec<u8>,
    /// On which channel, or `None` for the socket.
    pub(crate) channel: Option<usize>,
}

/// What the server does about a request.
pub(crate) enum Reply {
    /// An answer in good form, with descriptors.
    Message(MessageId, Vec<u8>, Vec<OwnedFd>),
    /// These bytes, header and all.
    Raw(Vec<u8>),
    /// A datagram that claims this length (channels only).
    Claim(usize),
    /// Nothing, ever.
    Silence,
    /// The end of the connection.
    HangUp,
    /// The end of the connection in good order: the socket's, and then the channel's (channels only).
    Leave,
    /// An answer, and right behind it the end (socket only).
    AnswerAndHangUp(MessageId, Vec<u8>, Vec<OwnedFd>),
}

impl Reply {
    pub(crate) fn of<'a>(id: MessageId, message: &impl Wire<'a>) -> Reply {
        Reply::with(id, message, Vec::new())
    }

    pub(crate) fn with<'a>(id: MessageId, message: &impl Wire<'a>, fds: Vec<OwnedFd>) -> Reply {
        Reply::Message(id, bytes(message), fds)
    }

    pub(crate) fn error(errno: u32) -> Reply {
        Reply::of(MessageId::ERROR, &ErrorResp { errno })
    }

    pub(crate) fn empty(id: MessageId) -> Reply {
        Reply::Message(id, Vec::new(), Vec::new())
    }
}

/// A message's bytes.
pub(crate) fn bytes<'a>(message: &impl Wire<'a>) -> Vec<u8> {
    let mut bytes = Vec::new();
    message.encode(&mut bytes).unwrap();
    bytes
}

/// Answers requests, or leaves that to [`honest`].
pub(crate) type Script = dyn Fn(&Request) -> Option<Reply> + Send + Sync;

/// What the server is like.
#[derive(Clone)]
pub(crate) struct Setup {
    pub(crate) supported: Vec<u16>,
    pub(crate) max_message: u32,
    /// How many channels it grants.
    pub(crate) channels: usize,
    pub(crate) time_limit: Duration,
    pub(crate) trace: Option<Arc<Recorder>>,
}

impl Default for Setup {
    fn default() -> Self {
        let supported = (1..=33).collect();
        Setup { supported, max_message: 256 * 1024, channels: 1, time_limit: TIMEOUT, trace: None }
    }
}

impl Setup {
    /// Without channels: all goes over the socket.
    pub(crate) fn socket_only() -> Self {
        Setup { channels: 0, ..Setup::default() }
    }
}

/// The socket and a channel: most tests are about both.
pub(crate) fn both() -> [Setup; 2] {
    [Setup::socket_only(), Setup::default()]
}

/// What the threads of a server share.
struct Shared {
    setup: Setup,
    script: Box<Script>,
    socket: Socket,
    memory: Mutex<PacketMemory>,
    closed: Mutex<Vec<FdId>>,
    changed: Condvar,
    channels: Mutex<Vec<JoinHandle<()>>>,
    ended: Mutex<bool>,
}

/// A running server. Dropping it ends the connection.
pub(crate) struct Server {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// Starts a server with `script`, and connects to it.
pub(crate) fn connect(
    setup: Setup,
    script: impl Fn(&Request) -> Option<Reply> + Send + Sync + 'static,
) -> Result<(Client, Root, Server), ConnectError> {
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
    let options =
        ClientOptions::default().channels(setup.channels).time_limit(setup.time_limit).trace(setup.trace.clone());
    let shared = Arc::new(Shared {
        setup,
        script: Box::new(script),
        socket: Socket::new(theirs),
        memory: Mutex::new(PacketMemory::new().unwrap()),
        closed: Mutex::default(),
        changed: Condvar::new(),
        channels: Mutex::default(),
        ended: Mutex::default(),
    });
    let thread = std::thread::spawn({
        let shared = shared.clone();
        move || serve_socket(&shared)
    });
    let server = Server { shared, thread: Some(thread) };
    let (client, root) = Client::connect(ours, &options)?;
    Ok((client, root, server))
}

/// [`connect`] to a server that is honest at first.
pub(crate) fn connected(
    setup: Setup,
    script: impl Fn(&Request) -> Option<Reply> + Send + Sync + 'static,
) -> (Client, Server) {
    let channels = setup.channels;
    let (client, root, server) = connect(setup, script).unwrap();
    assert_eq!(root.inode.control_fd, ROOT);
    assert_eq!(client.channels(), channels);
    (client, server)
}

impl Server {
    /// Waits until `fds` have all been given back.
    pub(crate) fn wait_for_closed(&self, fds: &[FdId]) {
        let mut closed = self.shared.closed.lock();
        let deadline = Instant::now() + TIMEOUT;
        while !fds.iter().all(|fd| closed.contains(fd)) {
            let late = self.shared.changed.wait_until(&mut closed, deadline).timed_out();
            assert!(!late, "{fds:?} were not closed, but {closed:?}");
        }
    }

    /// What has been given back so far, in order.
    pub(crate) fn closed(&self) -> Vec<FdId> {
        self.shared.closed.lock().clone()
    }

    /// Ends the connection from the server's side.
    pub(crate) fn hang_up(&self) {
        self.shared.socket.shut_down();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.hang_up();
        if let Some(thread) = self.thread.take() {
            let joined = thread.join();
            // One failure at a time: a second one would hide the first.
            assert!(joined.is_ok() || std::thread::panicking(), "the scripted server panicked");
        }
    }
}

fn serve_socket(shared: &Arc<Shared>) {
    let mut header = [0; size_of::<SocketHeader>()];
    while shared.socket.receive(&mut header, None, None).is_ok() {
        let header = SocketHeader::from_bytes(&header).unwrap();
        let mut payload = vec![0; header.payload_len as usize];
        if shared.socket.receive(&mut payload, None, None).is_err() {
            break;
        }
        let request = Request { id: MessageId(header.message), payload, channel: None };
        match reply_to(shared, &request) {
            Reply::Message(id, payload, fds) => send_message(&shared.socket, id, &payload, &fds),
            Reply::AnswerAndHangUp(id, payload, fds) => {
                send_message(&shared.socket, id, &payload, &fds);
                break;
            }
            Reply::Raw(bytes) => {
                let _ = shared.socket.send(&bytes, &[], None);
            }
            Reply::Claim(_) | Reply::Leave => panic!("only channels do that"),
            Reply::Silence => {}
            Reply::HangUp => break,
        }
    }
    // Channels end with the socket, in the eyes of the client as well.
    shared.socket.shut_down();
    *shared.ended.lock() = true;
    shared.changed.notify_all();
    for channel in std::mem::take(&mut *shared.channels.lock()) {
        channel.join().unwrap();
    }
}

/// Sends a message with any number of descriptors, more than [`Socket::send`] would. The client may be gone.
fn send_message(socket: &Socket, id: MessageId, payload: &[u8], fds: &[OwnedFd]) {
    let header = bytes(&SocketHeader::new(id, u32::try_from(payload.len()).unwrap()));
    let fds: Vec<BorrowedFd<'_>> = fds.iter().map(AsFd::as_fd).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(16))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    assert!(fds.is_empty() || control.push(SendAncillaryMessage::ScmRights(&fds)));
    if sendmsg(socket, &[IoSlice::new(&header)], &mut control, SendFlags::NOSIGNAL).is_ok() {
        let _ = socket.send(payload, &[], None);
    }
}

fn serve_channel(shared: &Arc<Shared>, index: usize, mut channel: Channel, fd_socket: &FdSocket) -> Result<(), Ended> {
    channel.handshake(Some(TIMEOUT))?;
    loop {
        let len = channel.wait(Some(TIMEOUT))?;
        let datagram = channel.window().source(0, len).to_vec();
        let mut rest = Reader::new(&datagram);
        let header = ChannelHeader::decode(&mut rest).unwrap();
        assert_eq!(header.num_fds, 0, "requests carry no descriptors");
        let request = Request { id: MessageId(header.message), payload: rest.rest().to_vec(), channel: Some(index) };
        match reply_to(shared, &request) {
            Reply::Message(id, payload, fds) => {
                for fd in &fds {
                    fd_socket.send(fd.as_fd())?;
                }
                let header = bytes(&ChannelHeader::new(id, u8::try_from(fds.len()).unwrap()));
                channel.target().put(0, &header);
                channel.target().put(header.len(), &payload);
                channel.pass(header.len() + payload.len())?;
            }
            Reply::Raw(bytes) => {
                channel.target().put(0, &bytes);
                channel.pass(bytes.len())?;
            }
            Reply::Claim(len) => channel.pass(len)?,
            Reply::AnswerAndHangUp(..) => panic!("a channel does not end the connection"),
            // Control is never given back. The window must outlive the client's timeout.
            Reply::Silence => {
                let mut ended = shared.ended.lock();
                while !*ended {
                    shared.changed.wait(&mut ended);
                }
                return Ok(());
            }
            Reply::HangUp => {
                shared.socket.shut_down();
                return Ok(());
            }
            Reply::Leave => {
                shared.socket.shut_down();
                channel.shut_down();
                return Ok(());
            }
        }
    }
}

fn reply_to(shared: &Arc<Shared>, request: &Request) -> Reply {
    if let Some(reply) = (shared.script)(request) {
        return reply;
    }
    match request.id {
        MessageId::MOUNT => Reply::of(
            request.id,
            &MountResp {
                root: inode(ROOT, 0o40_755),
                max_message_size: shared.setup.max_message,
                supported: Array::new(&shared.setup.supported).unwrap(),
            },
        ),
        MessageId::CLOSE => {
            let fds = CloseReq::from_bytes(&request.payload).unwrap().fds;
            shared.closed.lock().extend(fds.iter());
            shared.changed.notify_all();
            Reply::empty(request.id)
        }
        MessageId::CHANNEL => grant_channel(shared),
        _ => honest(request),
    }
}

fn grant_channel(shared: &Arc<Shared>) -> Reply {
    let mut channels = shared.channels.lock();
    let index = channels.len();
    if index == shared.setup.channels {
        return Reply::error(libc::ENOMEM.unsigned_abs());
    }
    let mut memory = shared.memory.lock();
    let (offset, len) = memory.allocate(4 + shared.setup.max_message as usize).unwrap();
    let channel = Channel::new(memory.window(offset, len).unwrap(), Role::Server);
    let (client_end, server_end) = FdSocket::pair().unwrap();
    let thread = {
        let shared = shared.clone();
        move || {
            // The end of a channel is no failure of the server's.
            let _ = serve_channel(&shared, index, channel, &server_end);
        }
    };
    channels.push(std::thread::spawn(thread));
    let answer = ChannelResp { data_offset: i64::try_from(offset).unwrap(), data_length: len as u64 };
    let memory = memory.as_fd().try_clone_to_owned().unwrap();
    Reply::with(MessageId::CHANNEL, &answer, vec![memory, client_end.into()])
}

/// The control FD of the root.
pub(crate) const ROOT: FdId = FdId(1);

/// Answers that depend on the request in a way that a test can check.
pub(crate) fn honest(request: &Request) -> Reply {
    let payload = &request.payload[..];
    match request.id {
        // The inode number is the FD.
        MessageId::FSTAT => {
            let FStatReq { fd } = Wire::from_bytes(payload).unwrap();
            let mut stat = inode(fd, 0o100_644).stat;
            stat.ino = fd.0;
            Reply::of(request.id, &stat)
        }
        // Every name exists; the FD is the name as a number, and 1000.
        MessageId::WALK => {
            let path = WalkReq::from_bytes(payload).unwrap().path;
            let number = |name: &[u8]| std::str::from_utf8(name).unwrap().parse::<u64>().unwrap_or(0);
            let inodes: Vec<_> = path.iter().map(|name| inode(FdId(1000 + number(name)), 0o100_644)).collect();
            walked(WalkStatus::Success as u8, &inodes)
        }
        // Every byte is the low byte of its offset plus the FD.
        MessageId::PREAD => {
            let PReadReq { offset, fd, count, pad: Pad } = Wire::from_bytes(payload).unwrap();
            let mut answer = bytes(&PReadHead { count: count.into() });
            let first = (offset + fd.0).to_le_bytes()[0];
            let period: Vec<u8> = (0..=u8::MAX).map(|at| first.wrapping_add(at)).collect();
            let mut data = period.repeat((count as usize).div_ceil(period.len()));
            data.truncate(count as usize);
            answer.extend(data);
            Reply::Message(request.id, answer, Vec::new())
        }
        MessageId::PWRITE => {
            let data = PWriteReq::from_bytes(payload).unwrap().data;
            Reply::of(request.id, &PWriteResp { count: data.len() as u64 })
        }
        _ => Reply::error(libc::EOPNOTSUPP.unsigned_abs()),
    }
}

/// An inode that passes every check.
pub(crate) fn inode(fd: FdId, mode: u16) -> Inode {
    let mut stat = Statx::default();
    (stat.mask, stat.mode, stat.ino) = (StatxMask::BASIC_STATS, mode, fd.0);
    Inode { control_fd: fd, stat }
}

/// The answer to a walk.
pub(crate) fn walked(status: u8, inodes: &[Inode]) -> Reply {
    Reply::of(MessageId::WALK, &WalkResp { status, inodes: Array::new(inodes).unwrap() })
}

/// A listing with entries of these names.
pub(crate) fn listing(names: &[&[u8]]) -> Vec<u8> {
    let mut entries = u16::try_from(names.len()).unwrap().to_ne_bytes().to_vec();
    for name in names {
        entries.extend(bytes(&Dirent { ino: 1, dev_minor: 0, dev_major: 0, off: 1, kind: 8, name }));
    }
    let dirents = Dirents::from_bytes(&entries).unwrap();
    bytes(&Getdents64Resp { dirents })
}
