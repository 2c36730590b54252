//! FDs: when they begin, when they end, how many there may be.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use gofer::hostfs::{HostFs, HostOptions, UdsPolicy};
use lisafs::backend::{Errno, FileType, Options};
use lisafs::server::Server;
use lisafs::wire::FdId;
use lisafs::wire::message::{BindAtReq, BindAtResp};

use crate::common::client::{Pathway, common as owner};
use crate::common::mem::Mem;
use crate::common::{connect, serve};

#[test]
fn numbers_count_up_and_are_never_used_again() {
    let mem = Arc::new(Mem::new(Options::default().tree_locks(true)));
    mem.add_file(&mem.root, b"f", b"");
    let (mut client, _connection) = serve(mem);
    let root = client.mount();
    assert_eq!(root, FdId(1));
    let mut last = root;
    for _ in 0..100 {
        let file = client.reach(root, &[b"f"]);
        let open = client.open(file, libc::O_RDONLY).unwrap();
        assert!(last < file && file < open);
        client.close(&[file, open, file]);
        last = open;
        assert_eq!(client.stat(file).unwrap_err(), Errno::BADF);
        assert_eq!(client.read(open, 0, 1).unwrap_err(), Errno::BADF);
    }
    // The root is an FD like any other, and Mount gives as many as one likes.
    client.close(&[root]);
    assert_eq!(client.stat(root).unwrap_err(), Errno::BADF);
    assert!(client.mount() > last);
}

#[test]
fn an_open_file_outlives_its_control_fd() {
    let mem = Arc::new(Mem::new(Options::default().tree_locks(true)));
    mem.add_file(&mem.root, b"f", b"data");
    let (mut client, _connection) = serve(mem);
    let root = client.mount();
    let file = client.reach(root, &[b"f"]);
    let open = client.open(file, libc::O_RDONLY).unwrap();
    client.close(&[file]);
    assert_eq!(client.read(open, 0, 10).unwrap(), b"data");
}

#[test]
fn a_connection_has_its_share_and_no_more() {
    let server = Server::new();
    let mem = |max_fds| {
        let mem = Arc::new(Mem::new(Options::default().max_fds(max_fds).tree_locks(true)));
        let dir = mem.add_dir(&mem.root, b"d");
        let dir = mem.add_dir(&dir, b"d");
        mem.add_dir(&dir, b"d");
        mem
    };
    let (mut client, _connection) = connect(&server, mem(4));
    let (mut other, _other) = connect(&server, mem(5));
    let (root, other_root) = (client.mount(), other.mount());
    let path: [&[u8]; 3] = [b"d", b"d", b"d"];
    let (_, walked) = client.walk(root, &path).unwrap();
    assert_eq!(client.walk(root, &[b"d"]).unwrap_err(), Errno::MFILE);
    assert_eq!(client.open(root, libc::O_RDONLY).unwrap_err(), Errno::MFILE);
    assert_eq!(client.create(root, b"new", 0o644).unwrap_err(), Errno::MFILE);
    assert_eq!(client.walk(root, &[b"new"]).unwrap_err(), Errno::MFILE);
    client.close(&[walked[0].control_fd]);
    // Nothing was made by the call that could not be answered.
    assert_eq!(client.walk(root, &[b"new"]).unwrap().0, 1);
    // What fails in the middle costs nothing.
    for _ in 0..10 {
        assert_eq!(client.walk(root, &path).unwrap_err(), Errno::MFILE);
    }
    client.open(root, libc::O_RDONLY).unwrap();
    assert_eq!(other.walk(other_root, &path).unwrap().1.len(), 3);
}

/// A bound socket holds its file, whether or not the client does.
#[test]
fn a_bound_socket_counts_with_its_file() {
    let dir = tempfile::tempdir().unwrap();
    let options = HostOptions::default().host_uds(UdsPolicy::All).max_fds(5);
    let (mut client, _connection) = serve(Arc::new(HostFs::open(dir.path(), options).unwrap()));
    let root = client.mount();
    let bind = |client: &mut crate::common::client::Client, name: &[u8]| {
        let request = BindAtReq { common: owner(root, 0o140_700), sock_type: 1, name };
        let bound: BindAtResp = client.call(&request)?.decode();
        client.close(&[bound.child.control_fd]);
        Ok(bound.bound_socket_fd)
    };
    let sockets: Result<Vec<FdId>, Errno> = [b"a", b"b"].iter().map(|name| bind(&mut client, *name)).collect();
    assert_eq!(client.walk(root, &[b"a"]).unwrap_err(), Errno::MFILE);
    client.close(&sockets.unwrap()[..1]);
    client.walk(root, &[b"a"]).unwrap();
    assert_eq!(bind(&mut client, b"c").unwrap_err(), Errno::MFILE);
}

/// A second thread closes numbers before they are given out.
#[test]
fn numbers_that_are_guessed_do_not_disturb_their_maker() {
    for tree_locks in [false, true] {
        let mem = Arc::new(Mem::new(Options::default().tree_locks(tree_locks)));
        let mut dir = mem.root.clone();
        for _ in 0..60 {
            dir = mem.add_dir(&dir, b"d");
        }
        let (mut client, _connection) = serve(mem.clone());
        let root = client.mount();
        let mut channel = client.channel().unwrap();
        let done = AtomicBool::new(false);
        let path: Vec<&[u8]> = vec![b"d"; 60];
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut next = 2;
                while !done.load(Ordering::Relaxed) {
                    let fds: Vec<FdId> = (next..next + 100).map(FdId).collect();
                    channel.close(&fds);
                    next = channel.walk(root, &[b"d"]).unwrap().1[0].control_fd.0;
                }
            });
            for _ in 0..300 {
                let (status, inodes) = client.walk(root, &path).unwrap();
                assert_eq!((status, inodes.len()), (0, 60));
                let fds: Vec<FdId> = inodes.iter().map(|inode| inode.control_fd).collect();
                client.close(&fds);
            }
            done.store(true, Ordering::Relaxed);
        });
    }
}

#[test]
fn everything_is_released_when_the_client_goes() {
    let mem = Arc::new(Mem::new(Options::default().tree_locks(true)));
    mem.add_file(&mem.root, b"f", b"");
    let (root_count, mem_count) = (Arc::strong_count(&mem.root), Arc::strong_count(&mem));
    let (mut client, connection) = serve(mem.clone());
    let root = client.mount();
    for _ in 0..1000 {
        let file = client.reach(root, &[b"f"]);
        client.open(file, libc::O_RDWR).unwrap();
    }
    let channel = client.channel().unwrap();
    assert!(!connection.has_ended());
    drop(client);
    connection.wait();
    assert!(connection.has_ended());
    assert_eq!((Arc::strong_count(&mem.root), Arc::strong_count(&mem)), (root_count, mem_count));
    // The channel's end is told, too.
    assert_eq!(channel.channel.pass(4), Err(lisafs::transport::Ended::ShutDown));
}

#[test]
fn a_type_that_changes_is_an_error() {
    let mem = Arc::new(Mem::new(Options::default().tree_locks(true)));
    let file = mem.add_file(&mem.root, b"f", b"");
    let (mut client, _connection) = serve(mem);
    let root = client.mount();
    let control = client.reach(root, &[b"f"]);
    let open = client.open(control, libc::O_RDONLY).unwrap();
    file.set_type(FileType::Fifo);
    assert_eq!(client.stat(control).unwrap_err(), Errno::IO);
    assert_eq!(client.stat(open).unwrap_err(), Errno::IO);
    assert_eq!(client.walk_stat(control, &[b""]).unwrap_err(), Errno::IO);
    file.set_type(FileType::Regular);
    assert!(client.stat(control).is_ok());
}
