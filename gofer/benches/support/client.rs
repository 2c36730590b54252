//! A client with one channel and no more than a request needs.

use lisafs::transport::{Channel, FdSocket, Fds, PeerMemory, Role, Socket};
use lisafs::wire::message::*;
use lisafs::wire::{ChannelHeader, FdId, Message, MessageId, SocketHeader, Wire};

use super::partner::Service;

/// Which way a request goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    /// The main socket.
    Socket,
    /// The channel.
    Channel,
}

impl Over {
    /// Both.
    pub(crate) const ALL: [Over; 2] = [Over::Socket, Over::Channel];

    /// For people.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Over::Socket => "socket",
            Over::Channel => "channel",
        }
    }
}

/// A connection to a server.
#[derive(Debug)]
pub(crate) struct Client {
    socket: Socket,
    channel: Option<(Channel, FdSocket)>,
    root: FdId,
    /// The request, then the reply.
    buffer: Vec<u8>,
    // Last, so that the server sees the connection end before it is waited for.
    _service: Service,
}

impl Client {
    /// Mounts, and gets a channel.
    pub(crate) fn connect((socket, service): (std::os::fd::OwnedFd, Service)) -> Self {
        let mut client = Client {
            socket: Socket::new(socket),
            channel: None,
            root: FdId::INVALID,
            buffer: Vec::new(),
            _service: service,
        };
        let mount: MountResp<'_> = client.call(Over::Socket, &MountReq {});
        client.root = mount.root.control_fd;

        let mut fds = Fds::new();
        client.send_on_socket(&ChannelReq {});
        let id = client.receive_on_socket(&mut fds);
        let reply: ChannelResp = client.decode(id);
        let [memory, fd_socket] = fds.into_inner().expect("a channel comes with two descriptors");
        let offset = u64::try_from(reply.data_offset).expect("an offset");
        let len = usize::try_from(reply.data_length).expect("a length");
        let mut channel = Channel::new(
            PeerMemory::new(memory)
                .and_then(|memory| memory.window(offset, len))
                .expect("a window in memory that stays"),
            Role::Client,
        );
        channel.handshake(None).expect("no handshake");
        client.channel = Some((channel, fd_socket.into()));
        client
    }

    /// The root of the mount.
    pub(crate) fn root(&self) -> FdId {
        self.root
    }

    /// Sends a request and waits for its reply. Descriptors that come with it are taken and closed.
    pub(crate) fn call<'a, 'r, Reply: Message<'a>>(&'a mut self, over: Over, request: &impl Message<'r>) -> Reply {
        let id = match over {
            Over::Socket => {
                self.send_on_socket(request);
                self.receive_on_socket(&mut Fds::new())
            }
            Over::Channel => {
                let len = self.pass(request);
                self.copy_out(len)
            }
        };
        self.decode(id)
    }

    /// Reads, and returns how many bytes came. On the channel they stay where they are, for the reader to look at
    /// there.
    pub(crate) fn read(&mut self, over: Over, request: &PReadReq) -> u64 {
        let id = match over {
            Over::Socket => {
                self.send_on_socket(request);
                self.receive_on_socket(&mut Fds::new())
            }
            Over::Channel => {
                self.pass(request);
                self.copy_out(PReadHead::SIZE)
            }
        };
        let head: PReadHead = self.decode(id);
        head.count
    }

    fn send_on_socket<'a, Request: Message<'a>>(&mut self, request: &Request) {
        self.buffer.clear();
        SocketHeader::new(Request::ID, 0).encode(&mut self.buffer).expect("room");
        request.encode(&mut self.buffer).expect("room");
        let header = size_of::<SocketHeader>();
        let len = u32::try_from(self.buffer.len() - header).expect("a short request");
        self.buffer[..4].copy_from_slice(&len.to_ne_bytes());
        self.socket.send(&self.buffer, &[], None).expect("cannot send");
    }

    fn receive_on_socket(&mut self, fds: &mut Fds) -> MessageId {
        let mut header = [0; size_of::<SocketHeader>()];
        self.socket.receive(&mut header, Some(fds), None).expect("cannot receive");
        let header = SocketHeader::from_bytes(&header).expect("a whole header");
        self.buffer.resize(header.payload_len as usize, 0);
        self.socket.receive(&mut self.buffer, None, None).expect("cannot receive");
        MessageId(header.message)
    }

    /// Puts a request into the window, gives control to the server, and answers the reply's length without header.
    fn pass<'a, Request: Message<'a>>(&mut self, request: &Request) -> usize {
        self.buffer.clear();
        ChannelHeader::new(Request::ID, 0).encode(&mut self.buffer).expect("room");
        request.encode(&mut self.buffer).expect("room");
        let (channel, _) = self.channel.as_mut().expect("connected");
        channel.target().put(0, &self.buffer);
        channel.pass(self.buffer.len()).expect("cannot pass");
        let len = channel.wait(None).expect("no reply");
        len.checked_sub(size_of::<ChannelHeader>()).expect("a whole header")
    }

    /// Copies the first `len` bytes of the reply out of the window.
    fn copy_out(&mut self, len: usize) -> MessageId {
        let (channel, fd_socket) = self.channel.as_ref().expect("connected");
        let mut header = [0; size_of::<ChannelHeader>()];
        channel.window().source(0, header.len()).get(0, &mut header);
        let header = ChannelHeader::from_bytes(&header).expect("a whole header");
        self.buffer.resize(len, 0);
        channel.window().source(size_of::<ChannelHeader>(), len).get(0, &mut self.buffer);
        for _ in 0..header.num_fds {
            drop(fd_socket.receive());
        }
        MessageId(header.message)
    }

    fn decode<'a, Reply: Message<'a>>(&'a self, id: MessageId) -> Reply {
        if id == MessageId::ERROR {
            panic!("{:?} was refused: {:?}", Reply::ID, ErrorResp::from_bytes(&self.buffer));
        }
        assert_eq!(id, Reply::ID);
        Reply::from_bytes(&self.buffer).expect("a whole reply")
    }
}
