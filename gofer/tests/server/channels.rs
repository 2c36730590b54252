//! Channels: how they begin, what they carry, how they end.

use std::sync::Arc;

use gofer::hostfs::{HostFs, HostOptions};
use lisafs::backend::{Errno, Options};
use lisafs::server::Server;
use lisafs::transport::Ended;
use lisafs::wire::message::*;
use lisafs::wire::{FdId, Pad};
use rustix::fs::OFlags;

use crate::common::client::{ChannelClient, Client, Pathway};
use crate::common::mem::Mem;
use crate::common::{LIMIT, connect, serve, until};

fn client() -> (Client, lisafs::server::Connection) {
    let mem = Mem::new(Options::default().tree_locks(true));
    mem.add_file(&mem.root, b"f", b"data");
    serve(Arc::new(mem))
}

#[test]
fn there_are_four_of_them_and_each_may_ask_for_the_next() {
    let (mut client, connection) = client();
    let mut first = client.channel().unwrap();
    let mut second = ChannelClient::ask(&mut first).unwrap();
    let third = ChannelClient::ask(&mut second).unwrap();
    let mut fourth = client.channel().unwrap();
    for pathway in [&mut client as &mut dyn Pathway, &mut fourth] {
        assert_eq!(pathway.raw(2, b"").unwrap_err(), Errno::NOMEM);
    }
    let root = fourth.mount();
    assert_eq!(first.stat(root).unwrap(), client.stat(root).unwrap());
    // The place of one that has ended is free again, and its window is new.
    third.channel.shut_down();
    let mut again = None;
    until("a free place", || {
        again = ChannelClient::ask(&mut client).ok();
        again.is_some()
    });
    assert!(again.unwrap().stat(root).is_ok());
    drop(client);
    connection.wait();
    assert_eq!(first.exchange(3, b"").unwrap_err(), Ended::ShutDown);
}

#[test]
fn the_number_can_be_chosen() {
    let server = Server::with_channels(1);
    let (mut client, _connection) = connect(&server, Arc::new(Mem::new(Options::default().tree_locks(true))));
    client.channel().unwrap();
    assert_eq!(client.channel().unwrap_err(), Errno::NOMEM);
}

#[test]
fn what_is_donated_does_not_block() {
    let (mut client, _connection) = client();
    let answer = client.call(&ChannelReq {}).unwrap();
    for fd in &answer.fds {
        assert!(rustix::fs::fcntl_getfl(fd).unwrap().contains(OFlags::NONBLOCK));
    }
}

#[test]
fn a_goodbye_ends_a_channel_quietly() {
    let (mut client, _connection) = client();
    let channel = client.channel().unwrap();
    channel.channel.pass(0).unwrap();
    assert_eq!(channel.channel.wait(Some(LIMIT)), Err(Ended::ShutDown));
    client.mount();
}

#[test]
fn a_message_without_room_for_its_header_ends_a_channel() {
    for len in 1..4 {
        let (mut client, _connection) = client();
        let channel = client.channel().unwrap();
        channel.channel.pass(len).unwrap();
        assert_eq!(channel.channel.wait(Some(LIMIT)), Err(Ended::ShutDown), "{len}");
        client.mount();
    }
}

#[test]
fn a_hello_that_is_none_ends_a_channel() {
    let (mut client, _connection) = client();
    let mut channel = ChannelClient::ask_quietly(&mut client).unwrap();
    channel.channel.target().put(0, b"hello");
    channel.channel.pass(5).unwrap();
    assert_eq!(channel.channel.wait(Some(LIMIT)), Err(Ended::ShutDown));
    client.mount();
}

#[test]
fn a_channel_that_never_says_hello_holds_nobody_up() {
    let (mut client, connection) = client();
    let silent = ChannelClient::ask_quietly(&mut client).unwrap();
    client.mount();
    connection.shut_down();
    connection.wait();
    assert_eq!(silent.channel.wait(Some(LIMIT)), Err(Ended::ShutDown));
}

/// The state word is the client's to write, too. It may not keep the server from ending.
#[test]
fn a_state_that_is_overwritten_does_not_keep_the_connection() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let (mut client, connection) = client();
    let channel = client.channel().unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                // The client's turn, for ever.
                channel.channel.window().state().store(0, Ordering::Relaxed);
            }
        });
        connection.shut_down();
        connection.wait();
        done.store(true, Ordering::Relaxed);
    });
}

fn host_client() -> (Client, FdId, FdId, lisafs::server::Connection, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("f"), "data").unwrap();
    let backend = HostFs::open(dir.path(), HostOptions::default()).unwrap();
    let (mut client, connection) = serve(Arc::new(backend));
    let root = client.mount();
    let file = client.reach(root, &[b"f"]);
    (client, root, file, connection, dir)
}

#[test]
fn descriptors_come_with_their_answer() {
    let (mut client, _, file, _connection, _dir) = host_client();
    let mut channel = client.channel().unwrap();
    let through: [&mut dyn Pathway; 2] = [&mut client, &mut channel];
    for pathway in through {
        let request = crate::common::client::encode(&OpenAtReq { fd: file, flags: 0, pad: Pad });
        let answer = pathway.raw(7, &request).unwrap();
        assert_eq!(answer.fds.len(), 1);
        let mut bytes = [0; 10];
        assert_eq!(rustix::io::pread(&answer.fds[0], &mut bytes, 0), Ok(4));
    }
}

#[test]
fn descriptors_that_are_not_fetched_do_not_hold_anything_up() {
    let (mut client, _, file, connection, _dir) = host_client();
    let mut channel = client.channel().unwrap();
    channel.takes_fds = false;
    for _ in 0..1000 {
        let open = channel.open(file, libc::O_RDONLY).unwrap();
        channel.close(&[open]);
    }
    drop(client);
    connection.wait();
}

#[test]
fn requests_have_no_descriptors_whatever_they_say() {
    let (mut client, root, file, _connection, _dir) = host_client();
    let mut channel = client.channel().unwrap();
    channel.num_fds = 255;
    let null = std::fs::File::open("/dev/null").unwrap();
    for _ in 0..5 {
        channel.fds.send(std::os::fd::AsFd::as_fd(&null)).unwrap();
        let answer = channel.call(&FStatReq { fd: root }).unwrap();
        assert!(answer.fds.is_empty());
        assert_eq!(channel.raw(999, b"").unwrap_err(), Errno::OPNOTSUPP);
    }
    let answer = channel.call(&OpenAtReq { fd: file, flags: 0, pad: Pad }).unwrap();
    assert_eq!(answer.fds.len(), 1);
    let mut bytes = [0; 10];
    assert_eq!(rustix::io::pread(&answer.fds[0], &mut bytes, 0), Ok(4));
}

#[test]
fn many_threads_use_their_channels_at_once() {
    let (mut client, _connection) = client();
    let root = client.mount();
    let channels: Vec<ChannelClient> = (0..4).map(|_| client.channel().unwrap()).collect();
    std::thread::scope(|scope| {
        for mut channel in channels {
            scope.spawn(move || {
                for _ in 0..500 {
                    let file = channel.reach(root, &[b"f"]);
                    let open = channel.open(file, libc::O_RDWR).unwrap();
                    assert_eq!(channel.read(open, 0, 4).unwrap(), b"data");
                    assert_eq!(channel.write(open, 0, b"data").unwrap(), 4);
                    channel.close(&[file, open]);
                }
            });
        }
    });
}
