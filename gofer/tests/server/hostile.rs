//! Clients that send anything at all. The server goes on, and so do its other clients.

use std::sync::Arc;

use gofer::hostfs::{HostFs, HostOptions};
use lisafs::backend::Options;
use lisafs::server::Server;

use crate::common::client::{ChannelClient, Pathway};
use crate::common::mem::Mem;
use crate::common::{LIMIT, connect};

/// Numbers that are the same each time.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: u64) -> usize {
        (self.next() % end).try_into().unwrap()
    }

    /// Bytes of which many are small, as numbers of FDs, lengths and counts are.
    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| if self.below(3) > 0 { self.below(4) } else { self.below(256) }.try_into().unwrap()).collect()
    }
}

#[test]
fn requests_of_random_bytes() {
    let server = Server::new();
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("f"), "data").unwrap();
    let host = Arc::new(HostFs::open(dir.path(), HostOptions::default()).unwrap());
    let mem = Arc::new(Mem::new(Options::default().tree_locks(true)));
    let (mut witness, _witness_connection) = connect(&server, mem.clone());
    let witness_root = witness.mount();
    let mut random = Random(42);
    for round in 0..40 {
        let (mut client, connection) =
            if round % 2 == 0 { connect(&server, host.clone()) } else { connect(&server, mem.clone()) };
        client.mount();
        let mut channel = client.channel().unwrap();
        channel.takes_fds = false;
        for _ in 0..200 {
            let len = random.below(80);
            let (message, payload) = (random.below(36).try_into().unwrap(), random.bytes(len));
            // An answer of some kind comes to everything.
            channel.exchange(message, &payload).unwrap();
            client.exchange(message, &payload).unwrap();
        }
        witness.mkdir(witness_root, format!("alive {round}").as_bytes()).unwrap();
        drop(client);
        connection.wait();
    }
}

#[test]
fn streams_of_random_bytes() {
    let server = Server::new();
    let mem = Arc::new(Mem::new(Options::default().tree_locks(true)));
    let (mut witness, _witness_connection) = connect(&server, mem.clone());
    let mut random = Random(4711);
    for _ in 0..50 {
        let (client, connection) = connect(&server, mem.clone());
        let bytes = random.bytes(300);
        // The server may have had enough before all is sent.
        let _ = client.socket.send(&bytes, &[], Some(LIMIT));
        drop(client);
        connection.wait();
        witness.mount();
    }
}

#[test]
fn windows_of_random_bytes() {
    let server = Server::new();
    let mem = Arc::new(Mem::new(Options::default().tree_locks(true)));
    let (mut witness, _witness_connection) = connect(&server, mem.clone());
    let mut random = Random(7);
    for _ in 0..50 {
        let (mut client, connection) = connect(&server, mem.clone());
        let mut channel = if random.below(2) == 0 {
            client.channel().unwrap()
        } else {
            ChannelClient::ask_quietly(&mut client).unwrap()
        };
        let bytes = random.bytes(64);
        channel.channel.target().put(0, &bytes);
        let lengths = [random.below(70), usize::MAX >> 33, 4, 2 << 20];
        let _ = channel.channel.pass(lengths[random.below(4)]);
        let state = random.next().to_le_bytes()[0];
        channel.channel.window().state().store(state.into(), std::sync::atomic::Ordering::Relaxed);
        client.mount();
        drop(client);
        connection.wait();
        witness.mount();
    }
}

/// A client writes to its window while the server works on it.
#[test]
fn a_window_that_changes_all_the_time() {
    let server = Server::new();
    let mem = Arc::new(Mem::new(Options::default().tree_locks(true)));
    mem.add_file(&mem.root, b"f", &[1; 100_000]);
    let (mut client, connection) = connect(&server, mem);
    let root = client.mount();
    let file = client.reach(root, &[b"f"]);
    let open = client.open(file, libc::O_RDWR).unwrap();
    let answer = client.call(&lisafs::wire::message::ChannelReq {}).unwrap();
    let place: lisafs::wire::message::ChannelResp = answer.decode();
    let map = || {
        let (offset, len) = (place.data_offset.try_into().unwrap(), place.data_length.try_into().unwrap());
        let memory = answer.fds[0].try_clone().unwrap();
        lisafs::transport::PeerMemory::new(memory).unwrap().window(offset, len).unwrap()
    };
    let mut disturbed = map();
    let mut channel = ChannelClient {
        channel: lisafs::transport::Channel::new(map(), lisafs::transport::Role::Client),
        fds: lisafs::transport::FdSocket::pair().unwrap().0,
        takes_fds: false,
        num_fds: 0,
    };
    channel.channel.handshake(Some(LIMIT)).unwrap();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut random = Random(99);
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                let bytes = random.bytes(24);
                disturbed.target().put(4, &bytes);
            }
        });
        for _ in 0..300 {
            let path = [&b"f"[..]];
            let path = lisafs::wire::StringArrayBuf::collect(path).unwrap();
            let walk = lisafs::wire::message::WalkReq { dir: root, path: path.as_array() };
            channel.exchange(5, &crate::common::client::encode(&walk)).unwrap();
            let read = lisafs::wire::message::PReadReq { offset: 0, fd: open, count: 1000, pad: Default::default() };
            channel.exchange(12, &crate::common::client::encode(&read)).unwrap();
            let write = lisafs::wire::message::PWriteReq { offset: 0, fd: open, data: &[2; 50] };
            channel.exchange(11, &crate::common::client::encode(&write)).unwrap();
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    assert!(client.stat(file).is_ok());
    drop(client);
    connection.wait();
}
