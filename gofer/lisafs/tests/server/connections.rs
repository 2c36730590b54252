//! Several connections on one server.

use std::sync::Arc;

use lisafs::backend::{Errno, Options};
use lisafs::server::{ConnectError, Server};
use lisafs::transport::Ended;
use lisafs::wire::message::{MountReq, MountResp, SetStatReq};
use lisafs::wire::{FdId, MessageId, StatxMask, Timespec};
use rustix::event::{PollFd, PollFlags, Timespec as PollTimespec, poll};

use crate::common::client::{Pathway, encode};
use crate::common::mem::Mem;
use crate::common::{LIMIT, connect, connect_at, serve, socket_pair};

#[test]
fn mount_says_what_there_is() {
    let mem = Arc::new(Mem::new(Options::default().tree_locks(true)));
    let (mut client, _connection) = serve(mem);
    let answer = client.raw(1, b"bytes").unwrap();
    assert_eq!(answer.payload.len(), 222);
    let response: MountResp<'_> = answer.decode();
    assert_eq!(response.root.control_fd, FdId(1));
    assert_eq!(response.max_message_size, 2_093_056);
    let supported: Vec<u16> = response.supported.iter().collect();
    assert_eq!(supported, (1..20).chain(21..34).collect::<Vec<u16>>());
}

#[test]
fn each_connection_is_served_its_own_way() {
    let server = Server::new();
    let mem = |options| Arc::new(Mem::new(options));
    let supported = Options::stock_messages().without(MessageId::MKDIR_AT).without(MessageId::ERROR);
    let small = mem(Options::default().max_message_size(4096).supported(supported).tree_locks(true));
    let large = mem(Options::default().max_message_size(1 << 16).tree_locks(false));
    large.add_file(&large.root, b"f", b"");
    let (mut small_client, _small) = connect(&server, small);
    let (mut large_client, _large) = connect_at(&server, b"/mnt/large", large);

    let answer = small_client.call(&MountReq {}).unwrap();
    let response: MountResp<'_> = answer.decode();
    assert_eq!((response.max_message_size, response.supported.len()), (4096, 31));
    let (root, large_root) = (response.root.control_fd, large_client.mount());
    assert_eq!(small_client.mkdir(root, b"d").unwrap_err(), Errno::OPNOTSUPP);
    large_client.mkdir(large_root, b"d").unwrap();
    assert_eq!(small_client.raw(3, &[0; 5000]).unwrap_err(), Errno::IO);
    assert_eq!(large_client.raw(3, &[0; 5000]).unwrap_err(), Errno::BADF);
    // Files and numbers are each connection's own.
    assert_eq!(small_client.walk(root, &[b"f"]).unwrap().0, 1);
    let file = large_client.reach(large_root, &[b"f"]);
    assert_eq!(small_client.stat(file).unwrap_err(), Errno::BADF);
    let mut channel = small_client.channel().unwrap();
    assert_eq!(channel.raw(3, &[0; 5000]).unwrap_err(), Errno::IO);
    assert_eq!(channel.mkdir(root, b"d").unwrap_err(), Errno::OPNOTSUPP);
}

#[test]
fn one_that_ends_leaves_the_others_alone() {
    let server = Server::new();
    let mem = Arc::new(Mem::new(Options::default().tree_locks(true)));
    let (mut first, first_connection) = connect(&server, mem.clone());
    let (mut second, _second_connection) = connect(&server, mem);
    let (first_root, second_root) = (first.mount(), second.mount());
    first.mkdir(first_root, b"d").unwrap();
    let dir = second.reach(second_root, &[b"d"]);
    first_connection.shut_down();
    first_connection.wait();
    assert!(first.exchange(3, b"").is_err());
    assert!(second.stat(dir).is_ok());
}

#[test]
fn dropping_a_connection_ends_it() {
    let (mut client, connection) = serve(Arc::new(Mem::new(Options::default().tree_locks(true))));
    client.mount();
    drop(connection);
    assert!(client.receive().is_err());
}

#[test]
fn a_request_that_is_being_answered_is_finished_first() {
    let ((enter, entered), (go_on, wait)) = (std::sync::mpsc::channel(), std::sync::mpsc::channel::<()>());
    let (enter, wait) = (parking_lot::Mutex::new(enter), parking_lot::Mutex::new(wait));
    let hook = move |called| {
        if called == "set_stat" {
            enter.lock().send(()).unwrap();
            wait.lock().recv().unwrap();
        }
    };
    let mem = Arc::new(Mem::with_hook(Options::default().tree_locks(true), Box::new(hook)));
    let (mut client, connection) = serve(mem.clone());
    let root = client.mount();
    let mut channel = client.channel().unwrap();
    std::thread::scope(|scope| {
        let time = Timespec { sec: 0, nsec: 0 };
        let (mask, mode) = (StatxMask::MODE, 0o700);
        let request = SetStatReq { fd: root, mask, mode, uid: 0, gid: 0, size: 0, atime: time, mtime: time };
        let asked = scope.spawn(move || channel.exchange(4, &encode(&request)).map(drop));
        entered.recv_timeout(LIMIT).unwrap();
        connection.shut_down();
        // The socket is answered no more, but not everything is released.
        assert!(client.exchange(1, b"").is_err());
        assert!(!connection.has_ended());
        go_on.send(()).unwrap();
        connection.wait();
        // Whether the answer still arrives is a matter of who is faster; waiting for it comes to an end.
        assert!(matches!(asked.join().unwrap(), Ok(()) | Err(Ended::ShutDown)));
    });
    assert_eq!(Arc::strong_count(&mem), 1);
}

#[test]
fn mounts_that_cannot_be() {
    let server = Server::new();
    let start = |path: &[u8], max_message_size| {
        let mem = Arc::new(Mem::new(Options::default().max_message_size(max_message_size).tree_locks(true)));
        server.connect(socket_pair().1, path, mem).map(drop)
    };
    for path in [&b""[..], b"relative", b"/a/../b", b"/."] {
        assert!(matches!(start(path, 4096), Err(ConnectError::MountPath)), "{path:?}");
    }
    for size in [0, 511, u32::MAX] {
        assert!(matches!(start(b"/", size), Err(ConnectError::MessageSize(_))), "{size}");
    }
    assert!(start(b"//mnt//a/", 512).is_ok());
}

#[test]
fn a_held_server_answers_when_it_is_released() {
    let server = Server::held();
    let (mut client, _connection) = connect(&server, Arc::new(Mem::new(Options::default().tree_locks(true))));
    client.send(MessageId::MOUNT.0, 0, &[]).unwrap();
    // What must not come can only be waited for.
    let while_held = PollTimespec { tv_sec: 0, tv_nsec: 50_000_000 };
    let answers = poll(&mut [PollFd::new(&client.socket, PollFlags::IN)], Some(&while_held));
    assert_eq!(answers, Ok(0));
    server.release();
    assert_eq!(client.receive().unwrap().0, MessageId::MOUNT.0);
}
