//! K6: packet windows that would be fatal to use. The client does without, over the socket.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use lisafs::transport::{Channel, FdSocket, PacketMemory, Role};
use lisafs::wire::MessageId;
use lisafs::wire::message::ChannelResp;
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};

use crate::support::{ROOT, Reply, Request, SHORT, Setup, TIMEOUT, connect};

const MAX: u32 = 64 * 1024;

/// Enough for one window of 17 pages and another that is not used.
fn memory() -> (PacketMemory, u64) {
    let mut memory = PacketMemory::new().unwrap();
    let (_, len) = memory.allocate(4 + MAX as usize).unwrap();
    (memory, len as u64)
}

fn dup(fd: impl AsFd) -> OwnedFd {
    fd.as_fd().try_clone_to_owned().unwrap()
}

/// Connects to a server whose only channel is `offered`. It must be refused at once, without a handshake, and the
/// socket must still work.
fn is_refused(what: &str, offered: impl Fn() -> (ChannelResp, Vec<OwnedFd>) + Send + Sync + 'static) {
    let start = Instant::now();
    comes_to_nothing(what, TIMEOUT, offered);
    assert!(start.elapsed() < TIMEOUT / 2, "{what}: used until the time limit");
}

/// Connects to a server whose only channel is `offered`; it must be given up, and the socket must still work.
fn comes_to_nothing(
    what: &str,
    time_limit: Duration,
    offered: impl Fn() -> (ChannelResp, Vec<OwnedFd>) + Send + Sync + 'static,
) {
    let setup = Setup { max_message: MAX, time_limit, ..Setup::default() };
    let script = move |request: &Request| {
        let channel = || {
            let (answer, fds) = offered();
            Reply::with(MessageId::CHANNEL, &answer, fds)
        };
        (request.id == MessageId::CHANNEL).then(channel)
    };
    let (client, _, _server) = connect(setup, script).unwrap();
    assert_eq!(client.channels(), 0, "{what}");
    assert!(client.fstat(ROOT).is_ok(), "{what}");
}

#[test]
fn windows_that_are_not_in_their_file_are_refused() {
    let page = rustix::param::page_size() as u64;
    let (memory, len) = memory();
    let len = len.next_multiple_of(page);
    let size = rustix::fs::fstat(&memory).unwrap().st_size;
    for (data_offset, data_length) in [
        (0, 0),
        (0, page),
        (0, u64::from(MAX) + 19),
        (0, u64::MAX),
        (0, 1 << 33),
        (-1, len),
        (-4096, len),
        (i64::MIN, len),
        (1, len),
        (size, len),
        (size - 4096, len),
        (i64::MAX, len),
        (i64::MAX - 4095, len),
    ] {
        let memory = dup(&memory);
        is_refused("window out of range", move || {
            (ChannelResp { data_offset, data_length }, vec![dup(&memory), FdSocket::pair().unwrap().0.into()])
        });
    }
}

#[test]
fn memory_that_can_go_away_is_refused() {
    let files: [fn() -> OwnedFd; 3] = [
        || memfd_create("unsealed", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).unwrap(),
        || tempfile::tempfile().unwrap().into(),
        || std::fs::File::open("/dev/zero").unwrap().into(),
    ];
    for file in files {
        is_refused("memory that can shrink", move || {
            let file = file();
            let _ = ftruncate(&file, 1 << 20);
            (ChannelResp { data_offset: 0, data_length: 1 << 20 }, vec![file, FdSocket::pair().unwrap().0.into()])
        });
    }
}

#[test]
fn channels_without_their_descriptors_are_refused() {
    for count in 0..2 {
        is_refused("descriptors are missing", move || {
            let (memory, len) = memory();
            (ChannelResp { data_offset: 0, data_length: len }, (0..count).map(|_| dup(&memory)).collect())
        });
    }
}

#[test]
fn a_handshake_that_never_comes_or_is_none_is_refused() {
    comes_to_nothing("silence", SHORT, || {
        let (memory, len) = memory();
        (ChannelResp { data_offset: 0, data_length: len }, vec![dup(&memory), FdSocket::pair().unwrap().0.into()])
    });
    is_refused("binary hello", || {
        let (memory, len) = memory();
        let window = memory.window(0, usize::try_from(len).unwrap()).unwrap();
        let mut channel = Channel::new(window, Role::Server);
        // It waits for the client, which this very answer tells of the channel.
        std::thread::spawn(move || {
            channel.wait(Some(Duration::from_secs(10))).unwrap();
            channel.target().put(0, b"\x7fELF");
            channel.pass(4).unwrap();
        });
        (ChannelResp { data_offset: 0, data_length: len }, vec![dup(&memory), FdSocket::pair().unwrap().0.into()])
    });
}
