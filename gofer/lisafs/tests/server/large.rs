//! Messages of all sizes.

use std::sync::Arc;

use lisafs::backend::{Errno, Options};
use lisafs::wire::FdId;
use lisafs::wire::message::*;

use crate::common::client::{Client, Pathway, encode};
use crate::common::mem::Mem;
use crate::common::serve;

const MAX: u32 = lisafs::wire::STOCK_MAX_MESSAGE_SIZE;

fn bytes(len: u32) -> Vec<u8> {
    vec![0; len.try_into().unwrap()]
}

#[test]
fn a_payload_may_be_as_long_as_was_said() {
    let (mut client, _connection) = serve(Arc::new(Mem::new(Options::default().tree_locks(true))));
    let mut channel = client.channel().unwrap();
    assert_eq!(client.raw(3, &bytes(MAX)).unwrap_err(), Errno::BADF);
    assert_eq!(channel.raw(3, &bytes(MAX)).unwrap_err(), Errno::BADF);
    // Too long comes before everything else.
    for message in [3, 0, 999] {
        assert_eq!(client.raw(message, &bytes(MAX + 1)).unwrap_err(), Errno::IO);
        assert_eq!(channel.raw(message, &bytes(MAX + 1)).unwrap_err(), Errno::IO);
    }
    assert_eq!(client.raw(3, &bytes(MAX * 3)).unwrap_err(), Errno::IO);
    client.mount();
}

#[test]
fn a_length_beyond_reason_ends_the_connection() {
    for len in [u32::MAX, u32::MAX - 7, 1 << 31, 17 << 20] {
        let mem = Arc::new(Mem::new(Options::default().tree_locks(true)));
        let (mut client, connection) = serve(mem);
        client.send(3, len, b"").unwrap();
        assert!(client.receive().is_err());
        connection.wait();
    }
}

#[test]
fn a_message_that_never_comes_holds_nobody_up() {
    let mem = Arc::new(Mem::new(Options::default().tree_locks(true)));
    let (mut client, connection) = serve(mem);
    let mut channel = client.channel().unwrap();
    client.send(3, 100, b"only this").unwrap();
    channel.mount();
    drop(client);
    connection.wait();
}

fn file(options: Options, data: &[u8]) -> (Client, FdId, lisafs::server::Connection, Arc<Mem>) {
    let mem = Arc::new(Mem::new(options));
    mem.add_file(&mem.root, b"f", data);
    let (mut client, connection) = serve(mem.clone());
    let root = client.mount();
    let file = client.reach(root, &[b"f"]);
    let open = client.open(file, libc::O_RDWR).unwrap();
    (client, open, connection, mem)
}

#[test]
fn reads_up_to_the_limit() {
    let (mut client, fd, _connection, _mem) = file(Options::default().tree_locks(true), b"0123456789");
    let mut channel = client.channel().unwrap();
    for count in [5, 10, 11, MAX - 8] {
        let expected = &b"0123456789"[..10.min(count.try_into().unwrap())];
        assert_eq!(client.read(fd, 0, count).unwrap(), expected);
        assert_eq!(channel.read(fd, 0, count).unwrap(), expected);
    }
    for count in [MAX - 7, 0xffff_ffef, 0xffff_fff7, 0xffff_fff8, 0xffff_ffff] {
        assert_eq!(client.read(fd, 0, count).unwrap_err(), Errno::NOBUFS);
        assert_eq!(channel.read(fd, 0, count).unwrap_err(), Errno::NOBUFS);
    }
}

#[test]
fn the_largest_writes_and_reads_arrive_whole() {
    let (mut client, fd, _connection, _mem) = file(Options::default().tree_locks(true), b"");
    let mut channel = client.channel().unwrap();
    let data: Vec<u8> = (0..MAX - 20).map(|i| i.to_le_bytes()[0] ^ i.to_le_bytes()[1]).collect();
    let through: [&mut dyn Pathway; 2] = [&mut client, &mut channel];
    for pathway in through {
        let answer = pathway.raw(11, &encode(&PWriteReq { offset: 3, fd, data: &data })).unwrap();
        assert_eq!(answer.decode::<PWriteResp>().count, data.len() as u64);
        let count = MAX - 20;
        let answer = pathway.raw(12, &encode(&PReadReq { offset: 3, fd, count, pad: Default::default() })).unwrap();
        assert!(answer.decode::<PReadResp<'_>>().data == data);
    }
}

#[test]
fn walks_up_to_the_limit() {
    let (mut client, _connection) = serve(Arc::new(Mem::new(Options::default().tree_locks(true))));
    let root = client.mount();
    let path = |len| vec![&b"x"[..]; len];
    assert_eq!(client.walk(root, &path(13770)).unwrap().0, 1);
    assert_eq!(client.walk(root, &path(13771)).unwrap_err(), Errno::IO);
    assert_eq!(client.walk_stat(root, &path(14535)).unwrap().len(), 0);
    assert_eq!(client.walk_stat(root, &path(14536)).unwrap_err(), Errno::IO);
    // Counts that nothing stands behind.
    let mut request = encode(&root);
    request.extend([0xff; 2]);
    assert_eq!(client.raw(5, &request).unwrap_err(), Errno::IO);
    assert_eq!(client.raw(9, &[0xff; 2]).unwrap_err(), Errno::IO);
}

#[test]
fn a_deep_walk_comes_back_whole() {
    let mem = Arc::new(Mem::new(Options::default().tree_locks(false)));
    let mut dir = mem.root.clone();
    for _ in 0..300 {
        dir = mem.add_dir(&dir, b"d");
    }
    let (mut client, connection) = serve(mem.clone());
    let root = client.mount();
    let mut channel = client.channel().unwrap();
    let (status, inodes) = channel.walk(root, &vec![&b"d"[..]; 300]).unwrap();
    assert_eq!((status, inodes.len()), (0, 300));
    assert_eq!(inodes[299].stat.ino, channel.stat(inodes[299].control_fd).unwrap().ino);
    // The last one to drop a file system as deep as this needs more stack than the server's threads have.
    drop(client);
    connection.wait();
}

#[test]
fn extended_attributes_that_no_length_can_tell_are_too_large() {
    let mem = Arc::new(Mem::new(Options::default().tree_locks(true)));
    let (mut client, _connection) = serve(mem);
    let root = client.mount();
    let mut set = |name, value| client.call(&FSetXattrReq { fd: root, flags: 0, name, value }).unwrap();
    set(b"user.huge", b"huge");
    let longest = vec![1; 65535];
    set(b"user.longest", &longest);
    let mut get = |name, buf_size| client.call(&FGetXattrReq { fd: root, buf_size, name });
    for size in [0, 100, 65536, u32::MAX] {
        assert_eq!(get(b"user.huge", size).unwrap_err(), Errno::RANGE);
    }
    assert_eq!(get(b"user.longest", 0).unwrap().decode::<FGetXattrResp<'_>>().value, longest);
    assert_eq!(get(b"user.longest", 65534).unwrap_err(), Errno::RANGE);
    assert_eq!(get(b"user.longest", 65535).unwrap().payload.len(), 65537);
}

#[test]
fn an_answer_beyond_the_limit_is_an_error() {
    let mem = Arc::new(Mem::new(Options::default().max_message_size(512).tree_locks(true)));
    let (mut client, _connection) = serve(mem);
    let root = client.mount();
    for i in 0..3u8 {
        let (name, value) = ([b'u', b's', b'e', b'r', b'.', i], [0; 400]);
        client.call(&FSetXattrReq { fd: root, flags: 0, name: &name, value: &value }).unwrap();
    }
    assert_eq!(client.call(&FGetXattrReq { fd: root, buf_size: 0, name: b"user.\0" }).unwrap().payload.len(), 402);
    let name = [&b"user."[..], &[b'n'; 295]].concat();
    client.call(&FSetXattrReq { fd: root, flags: 0, name: &name, value: b"" }).unwrap();
    let other = [&b"user."[..], &[b'm'; 295]].concat();
    client.call(&FSetXattrReq { fd: root, flags: 0, name: &other, value: b"" }).unwrap();
    assert_eq!(client.call(&FListXattrReq { fd: root, size: 0 }).unwrap_err(), Errno::IO);
}
