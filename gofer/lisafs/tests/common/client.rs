//! A client that sends what it is told and shows what comes back.

use std::os::fd::OwnedFd;

use lisafs::backend::Errno;
use lisafs::transport::{Channel, Ended, FdSocket, Fds, PeerMemory, Role, Socket};
use lisafs::wire::codec::Wire;
use lisafs::wire::message::*;
use lisafs::wire::{
    ChannelHeader, CreateCommon, FdArray, FdId, Inode, Message, MessageId, NO_ID, SocketHeader, Statx, StringArrayBuf,
};

use super::LIMIT;

/// An answer that is no error.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) payload: Vec<u8>,
    pub(crate) fds: Vec<OwnedFd>,
}

impl Answer {
    /// The answer as a message.
    pub(crate) fn decode<'a, T: Wire<'a>>(&'a self) -> T {
        T::from_bytes(&self.payload).expect("the answer is complete")
    }
}

/// The outcome of a request.
pub(crate) type Outcome = Result<Answer, Errno>;

/// Something that requests go through.
pub(crate) trait Pathway {
    /// Sends a request and waits for its answer; `Ended` if there is none.
    fn exchange(&mut self, message: u16, payload: &[u8]) -> Result<(u16, Answer), Ended>;

    /// A request that is answered, perhaps with an error.
    fn raw(&mut self, message: u16, payload: &[u8]) -> Outcome {
        let (id, answer) = self.exchange(message, payload).expect("there is an answer");
        if MessageId(id) == MessageId::ERROR {
            assert!(answer.fds.is_empty(), "no descriptors come with an error");
            let error: ErrorResp = answer.decode();
            return Err(Errno::from_raw_os_error(error.errno.try_into().unwrap()));
        }
        assert_eq!(id, message, "an answer repeats the request's number");
        Ok(answer)
    }

    /// A typed request.
    fn call<'m, M: Message<'m>>(&mut self, request: &M) -> Outcome
    where
        Self: Sized,
    {
        self.raw(M::ID.0, &encode(request))
    }

    fn mount(&mut self) -> FdId
    where
        Self: Sized,
    {
        let answer = self.call(&MountReq {}).unwrap();
        answer.decode::<MountResp<'_>>().root.control_fd
    }

    fn stat(&mut self, fd: FdId) -> Result<Statx, Errno>
    where
        Self: Sized,
    {
        self.call(&FStatReq { fd }).map(|answer| answer.decode())
    }

    /// Walks, and returns the status and the inodes.
    fn walk(&mut self, dir: FdId, path: &[&[u8]]) -> Result<(u8, Vec<Inode>), Errno>
    where
        Self: Sized,
    {
        let path = StringArrayBuf::collect(path.iter().copied()).unwrap();
        let answer = self.call(&WalkReq { dir, path: path.as_array() })?;
        let response: WalkResp<'_> = answer.decode();
        Ok((response.status, response.inodes.iter().collect()))
    }

    /// The control FD of the file at the end of a path.
    fn reach(&mut self, dir: FdId, path: &[&[u8]]) -> FdId
    where
        Self: Sized,
    {
        let (status, inodes) = self.walk(dir, path).unwrap();
        assert_eq!((status, inodes.len()), (0, path.len()), "{path:?}");
        inodes.last().unwrap().control_fd
    }

    fn walk_stat(&mut self, dir: FdId, path: &[&[u8]]) -> Result<Vec<Statx>, Errno>
    where
        Self: Sized,
    {
        let path = StringArrayBuf::collect(path.iter().copied()).unwrap();
        let answer = self.call(&WalkStatReq { dir, path: path.as_array() })?;
        let response: WalkStatResp<'_> = answer.decode();
        Ok(response.stats.iter().collect())
    }

    fn open(&mut self, fd: FdId, flags: i32) -> Result<FdId, Errno>
    where
        Self: Sized,
    {
        let flags = flags.try_into().unwrap();
        let answer = self.call(&OpenAtReq { fd, flags, pad: Default::default() })?;
        Ok(answer.decode::<OpenAtResp>().open_fd)
    }

    fn close(&mut self, fds: &[FdId])
    where
        Self: Sized,
    {
        self.call(&CloseReq { fds: FdArray::new(fds).unwrap() }).unwrap();
    }

    fn read(&mut self, fd: FdId, offset: u64, count: u32) -> Result<Vec<u8>, Errno>
    where
        Self: Sized,
    {
        let answer = self.call(&PReadReq { offset, fd, count, pad: Default::default() })?;
        Ok(answer.decode::<PReadResp<'_>>().data.to_vec())
    }

    fn write(&mut self, fd: FdId, offset: u64, data: &[u8]) -> Result<u64, Errno>
    where
        Self: Sized,
    {
        let answer = self.call(&PWriteReq { offset, fd, data })?;
        Ok(answer.decode::<PWriteResp>().count)
    }

    fn create(&mut self, dir: FdId, name: &[u8], mode: u16) -> Result<(Inode, FdId), Errno>
    where
        Self: Sized,
    {
        let flags = libc::O_RDWR.try_into().unwrap();
        let answer = self.call(&OpenCreateAtReq { common: common(dir, mode), flags, name })?;
        let response: OpenCreateAtResp = answer.decode();
        Ok((response.child, response.open_fd))
    }

    fn mkdir(&mut self, dir: FdId, name: &[u8]) -> Result<FdId, Errno>
    where
        Self: Sized,
    {
        let answer = self.call(&MkdirAtReq { common: common(dir, 0o755), name })?;
        Ok(answer.decode::<MkdirAtResp>().child.control_fd)
    }

    fn link(&mut self, dir: FdId, name: &[u8], target: FdId) -> Result<FdId, Errno>
    where
        Self: Sized,
    {
        let answer = self.call(&LinkAtReq { dir, target, name })?;
        Ok(answer.decode::<LinkAtResp>().link.control_fd)
    }

    fn unlink(&mut self, dir: FdId, name: &[u8]) -> Result<(), Errno>
    where
        Self: Sized,
    {
        self.call(&UnlinkAtReq { dir, flags: 0, name }).map(drop)
    }

    fn rmdir(&mut self, dir: FdId, name: &[u8]) -> Result<(), Errno>
    where
        Self: Sized,
    {
        let flags = libc::AT_REMOVEDIR.try_into().unwrap();
        self.call(&UnlinkAtReq { dir, flags, name }).map(drop)
    }

    fn rename(&mut self, from: (FdId, &[u8]), to: (FdId, &[u8])) -> Result<(), Errno>
    where
        Self: Sized,
    {
        let ((old_dir, old_name), (new_dir, new_name)) = (from, to);
        self.call(&RenameAtReq { old_dir, new_dir, old_name, new_name }).map(drop)
    }

    fn rename2(&mut self, from: (FdId, &[u8]), to: (FdId, &[u8]), flags: u32) -> Result<(), Errno>
    where
        Self: Sized,
    {
        let ((old_dir, old_name), (new_dir, new_name)) = (from, to);
        self.call(&RenameAt2Req { old_dir, new_dir, old_name, new_name, flags }).map(drop)
    }

    /// Names of entries and the size of the answer.
    fn list(&mut self, dir: FdId, count: i32) -> Result<(Vec<Vec<u8>>, usize), Errno>
    where
        Self: Sized,
    {
        let answer = self.call(&Getdents64Req { dir, count, pad: Default::default() })?;
        let response: Getdents64Resp<'_> = answer.decode();
        Ok((response.dirents.iter().map(|entry| entry.name.to_vec()).collect(), answer.payload.len()))
    }
}

/// Who owns a new file: nobody in particular.
pub(crate) fn common(dir: FdId, mode: u16) -> CreateCommon {
    CreateCommon::new(dir, NO_ID, NO_ID, mode)
}

/// The bytes of a message.
pub(crate) fn encode<'m>(message: &impl Wire<'m>) -> Vec<u8> {
    let mut bytes = Vec::new();
    message.encode(&mut bytes).unwrap();
    bytes
}

/// The main socket.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) socket: Socket,
}

impl Client {
    pub(crate) fn new(socket: OwnedFd) -> Self {
        Client { socket: Socket::new(socket) }
    }

    /// Asks for a channel and says hello.
    pub(crate) fn channel(&mut self) -> Result<ChannelClient, Errno> {
        ChannelClient::ask(self)
    }

    /// Sends a header with any length in it, and bytes.
    pub(crate) fn send(&mut self, message: u16, payload_len: u32, payload: &[u8]) -> Result<(), Ended> {
        let mut bytes = encode(&SocketHeader::new(MessageId(message), payload_len));
        bytes.extend(payload);
        self.socket.send(&bytes, &[], Some(LIMIT))
    }

    /// Waits for an answer.
    pub(crate) fn receive(&mut self) -> Result<(u16, Answer), Ended> {
        let (mut header, mut fds) = ([0; 8], Fds::new());
        self.socket.receive(&mut header, Some(&mut fds), Some(LIMIT))?;
        let header = SocketHeader::from_bytes(&header).unwrap();
        let mut payload = vec![0; header.payload_len.try_into().unwrap()];
        self.socket.receive(&mut payload, None, Some(LIMIT))?;
        Ok((header.message, Answer { payload, fds: fds.into_iter().collect() }))
    }
}

impl Pathway for Client {
    fn exchange(&mut self, message: u16, payload: &[u8]) -> Result<(u16, Answer), Ended> {
        self.send(message, payload.len().try_into().unwrap(), payload)?;
        self.receive()
    }
}

/// A channel.
#[derive(Debug)]
pub(crate) struct ChannelClient {
    pub(crate) channel: Channel,
    pub(crate) fds: FdSocket,
    /// Whether descriptors are taken from the FD socket.
    pub(crate) takes_fds: bool,
    /// What requests claim about their descriptors.
    pub(crate) num_fds: u8,
}

impl ChannelClient {
    /// Asks for a channel on any pathway and says hello.
    pub(crate) fn ask(through: &mut impl Pathway) -> Result<Self, Errno> {
        let mut client = Self::ask_quietly(through)?;
        client.channel.handshake(Some(LIMIT)).unwrap();
        Ok(client)
    }

    /// Asks for a channel and does not say hello.
    pub(crate) fn ask_quietly(through: &mut impl Pathway) -> Result<Self, Errno> {
        let mut answer = through.call(&ChannelReq {})?;
        let place: ChannelResp = answer.decode();
        let (Some(fds), Some(memory)) = (answer.fds.pop(), answer.fds.pop()) else { panic!("no descriptors") };
        let offset = place.data_offset.try_into().unwrap();
        let window = PeerMemory::new(memory).unwrap().window(offset, place.data_length.try_into().unwrap()).unwrap();
        assert_eq!(window.source(0, 64).to_vec(), [0; 64], "a window begins with zeros");
        Ok(ChannelClient {
            channel: Channel::new(window, Role::Client),
            fds: FdSocket::from(fds),
            takes_fds: true,
            num_fds: 0,
        })
    }
}

impl Pathway for ChannelClient {
    fn exchange(&mut self, message: u16, payload: &[u8]) -> Result<(u16, Answer), Ended> {
        let header = ChannelHeader::new(MessageId(message), self.num_fds);
        self.channel.target().put(0, &encode(&header));
        self.channel.target().put(4, payload);
        self.channel.pass(4 + payload.len())?;
        let len = self.channel.wait(Some(LIMIT))?;
        let bytes = self.channel.window().source(0, len).to_vec();
        let header = ChannelHeader::from_bytes(&bytes).unwrap();
        let mut fds = Vec::new();
        if self.takes_fds {
            fds.extend((0..header.num_fds).map(|_| self.fds.receive().expect("as many descriptors as announced")));
        }
        Ok((header.message, Answer { payload: bytes[4..].to_vec(), fds }))
    }
}
