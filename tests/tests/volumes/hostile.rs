//! Clients of a volume that send anything at all, after a proper hand-over. Nobody else notices.

use std::fs;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use anyhow::{Context, Result, anyhow};
use e2e::mount::Mount;
use e2e::volumes::VolumeServer;
use e2e::{bins, check, process, scratch};
use fastrand::Rng;
use gofer::volume::{Control, Mount as Place, Volume};
use lisafs::transport::{Channel, Fds, PeerMemory, Role, Socket};
use lisafs::wire::codec::Wire;
use lisafs::wire::message::{ChannelReq, ChannelResp, MountReq};
use lisafs::wire::{ChannelHeader, MessageId, SocketHeader};

use crate::LIMIT;

/// A connection to a volume that nothing has been said on.
struct Peer {
    socket: Socket,
    control: Control,
}

impl Peer {
    fn new(server: &VolumeServer) -> Result<Self> {
        let place = Place { path: "/".as_ref(), read_only: false, directfs: false, container: None, annotations: None };
        let control = Volume::at(&server.socket(), "data")?.connect()?;
        let (ours, theirs) = UnixStream::pair()?;
        control.hand_over(theirs.into(), &place)?;
        Ok(Peer { socket: Socket::new(ours.into()), control })
    }

    /// Sends a request and waits for the answer to it: its payload and descriptors.
    fn exchange(&mut self, message: MessageId, payload: &[u8]) -> Result<(Vec<u8>, Fds)> {
        let mut bytes = encode(&SocketHeader::new(message, payload.len().try_into()?));
        bytes.extend(payload);
        let failed = |ended| anyhow!("the server has ended the connection: {ended:?}");
        self.socket.send(&bytes, &[], Some(LIMIT)).map_err(failed)?;
        let (mut header, mut fds) = ([0; 8], Fds::new());
        self.socket.receive(&mut header, Some(&mut fds), Some(LIMIT)).map_err(failed)?;
        let header = SocketHeader::from_bytes(&header).context("no header")?;
        let mut answer = vec![0; header.payload_len.try_into()?];
        self.socket.receive(&mut answer, None, Some(LIMIT)).map_err(failed)?;
        Ok((answer, fds))
    }

    fn mount(&mut self) -> Result<()> {
        self.exchange(MessageId::MOUNT, &encode(&MountReq {})).map(drop)
    }

    /// A channel, on which nothing has been said either.
    fn channel(&mut self) -> Result<Channel> {
        let (answer, fds) = self.exchange(MessageId::CHANNEL, &encode(&ChannelReq {}))?;
        let place = ChannelResp::from_bytes(&answer).context("no channel")?;
        let memory = PeerMemory::new(fds.into_iter().next().context("no memory")?)?;
        let window = memory.window(place.data_offset.try_into()?, place.data_length.try_into()?)?;
        Ok(Channel::new(window, Role::Client))
    }

    /// Goes, and waits until the server has noticed.
    fn leave(self) {
        drop(self.socket);
        self.control.wait();
    }
}

fn encode<'m>(message: &impl Wire<'m>) -> Vec<u8> {
    let mut bytes = Vec::new();
    // Vectors take everything.
    _ = message.encode(&mut bytes);
    bytes
}

/// Bytes of which many are small, as numbers of FDs, lengths and counts are.
fn noise(random: &mut Rng, len: usize) -> Vec<u8> {
    (0..len).map(|_| if random.u8(..3) > 0 { random.u8(..4) } else { random.u8(..) }).collect()
}

/// Well-formed requests with anything in them: there is an answer to each.
fn requests(server: &VolumeServer, random: &mut Rng) -> Result<()> {
    let mut peer = Peer::new(server)?;
    peer.mount()?;
    for _ in 0..100 {
        let len = random.usize(..80);
        let (message, payload) = (random.u16(..36), noise(random, len));
        peer.exchange(MessageId(message), &payload)?;
    }
    peer.leave();
    Ok(())
}

/// No requests at all.
fn stream(server: &VolumeServer, random: &mut Rng) -> Result<()> {
    let peer = Peer::new(server)?;
    // The server may have had enough before all is sent.
    _ = peer.socket.send(&noise(random, 300), &[], Some(LIMIT));
    peer.leave();
    Ok(())
}

/// A channel with anything in its window, of any length and state.
fn window(server: &VolumeServer, random: &mut Rng) -> Result<()> {
    let mut peer = Peer::new(server)?;
    let mut channel = peer.channel()?;
    if random.bool() {
        channel.handshake(Some(LIMIT)).map_err(|ended| anyhow!("no handshake: {ended:?}"))?;
    }
    let mut bytes = encode(&ChannelHeader::new(MessageId(random.u16(..36)), random.u8(..)));
    bytes.extend(noise(random, 60));
    channel.target().put(0, &bytes);
    let lengths = [random.usize(..70), usize::MAX >> 33, 4, 2 << 20];
    _ = channel.pass(lengths[random.usize(..lengths.len())]);
    channel.window().state().store(random.u8(..).into(), Ordering::Relaxed);
    // The socket is another matter.
    peer.mount()?;
    peer.leave();
    Ok(())
}

#[test]
fn a_neighbour_does_not_notice_hostile_peers() -> Result<()> {
    const ROUNDS: u64 = 40;
    let files = scratch::disk()?;
    let path = files.path().display();
    let server = VolumeServer::start(&format!("data = 'mem:size=64m'\nother = '{path}'"))?;
    let mut command = Command::new(bins::fusebridge()?);
    let neighbour = Mount::start(command.args(["mnt", "--io", "rpc"]).arg(server.backend("other")))?;
    let (done, written) = (AtomicBool::new(false), AtomicU64::new(0));
    let before = process::memory(server.pid())?.private;
    thread::scope(|scope| -> Result<()> {
        let user = scope.spawn(|| -> Result<()> {
            while !done.load(Ordering::Relaxed) {
                let round = written.fetch_add(1, Ordering::Relaxed).to_string();
                let file = neighbour.path().join("f");
                fs::write(&file, &round)?;
                check::equal("the neighbour's file", &fs::read_to_string(&file)?, &round)?;
            }
            Ok(())
        });
        let hostile = (0..ROUNDS).try_for_each(|seed| {
            let mut random = Rng::with_seed(seed);
            let all =
                requests(&server, &mut random).and(stream(&server, &mut random)).and(window(&server, &mut random));
            all.with_context(|| format!("seed {seed}"))
        });
        done.store(true, Ordering::Relaxed);
        user.join().map_err(|_| anyhow!("the neighbour panicked"))?.and(hostile)
    })?;
    check::holds("the neighbour had its turns", written.into_inner() > ROUNDS)?;
    let more = process::memory(server.pid())?.private.saturating_sub(before);
    check::holds(&format!("{more} KiB more are less than their files may have, and little else"), more < 96 << 10)?;
    neighbour.unmount()?;
    server.is_left()?;
    let log = server.log()?;
    check::holds(&log, !log.contains("panicked"))?;
    server.stop()
}
