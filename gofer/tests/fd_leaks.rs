//! A server that has done a lot, also for clients that do wrong, has no more descriptors open than before.

use std::os::unix::net::UnixListener;
use std::sync::Arc;

use gofer::hostfs::{HostFs, HostOptions, UdsPolicy};
use lisafs::server::Server;
use lisafs::wire::message::*;
use lisafs::wire::{FdId, Pad};

use common::client::{ChannelClient, Pathway, common as owner};
use common::{connect, until};

#[allow(dead_code, reason = "shared with other tests, which use all of it")]
#[path = "../lisafs/tests/common/mod.rs"]
mod common;

fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Uses everything that makes descriptors, and closes nothing.
fn use_all(through: &mut impl Pathway, round: usize) {
    let root = through.mount();
    let name = |kind: &str| format!("{kind} {round}").into_bytes();
    let (file, _) = through.create(root, &name("file"), 0o644).unwrap();
    through.open(file.control_fd, libc::O_RDWR).unwrap();
    through.mkdir(root, &name("dir")).unwrap();
    through.link(root, &name("link"), file.control_fd).unwrap();
    // Each of these fails, after something was made or found.
    through.create(root, &name("file"), 0o644).unwrap_err();
    through.link(root, &name("link"), file.control_fd).unwrap_err();
    through.walk(root, &[&name("dir"), b"nope"]).unwrap();
    through.walk(root, &[&name("file"), b"x"]).unwrap_err();
    through.open(root, libc::O_RDWR).unwrap_err();
    let listener = through.reach(root, &[b"listener"]);
    for sock_type in [1, 2] {
        let _ = through.call(&ConnectReq { fd: listener, sock_type, pad: Pad });
    }
    let bind = BindAtReq { common: owner(root, 0o140_700), sock_type: 1, name: &name("socket") };
    let bound = through.call(&bind).unwrap().decode::<BindAtResp>();
    through.call(&bind).unwrap_err();
    through.call(&ListenReq { fd: bound.bound_socket_fd, backlog: 5, pad: Pad }).unwrap();
    through.call(&ConnectReq { fd: bound.child.control_fd, sock_type: 1, pad: Pad }).unwrap();
    through.call(&AcceptReq { fd: bound.bound_socket_fd }).unwrap();
    through.call(&AcceptReq { fd: bound.bound_socket_fd }).unwrap_err();
    through.stat(FdId(9999)).unwrap_err();
}

/// One test, since descriptors are counted for the whole process.
#[test]
fn all_descriptors_are_closed_in_the_end() {
    let server = Server::new();
    let before = open_descriptors();
    for round in 0..4 {
        let dir = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(dir.path().join("listener")).unwrap();
        let options = HostOptions::default().host_uds(UdsPolicy::All);
        let host = Arc::new(HostFs::open(dir.path(), options).unwrap());
        let (mut client, connection) = connect(&server, host.clone());
        use_all(&mut client, 1);
        let mut channel = client.channel().unwrap();
        use_all(&mut channel, 2);
        // Descriptors that nobody fetches, a channel that is given up, one that never was used.
        channel.takes_fds = false;
        use_all_but_fetch(&mut channel);
        channel.channel.pass(2).unwrap();
        let _unused = ChannelClient::ask_quietly(&mut client).unwrap();
        let client = if round % 2 == 0 {
            connection.shut_down();
            Some(client)
        } else {
            drop(client);
            None
        };
        connection.wait();
        drop((client, connection, channel, _unused, listener, host));
        // A backend may have a thread of its own that has to end first.
        until("the end of all descriptors", || open_descriptors() == before);
    }
}

fn use_all_but_fetch(channel: &mut ChannelClient) {
    let root = channel.mount();
    let file = channel.reach(root, &[b"file 1"]);
    for _ in 0..50 {
        channel.open(file, libc::O_RDONLY).unwrap();
    }
}
