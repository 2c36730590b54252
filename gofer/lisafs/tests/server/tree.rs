//! Connections that share the tree and its locks.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use lisafs::backend::{Errno, Options};
use lisafs::server::{Connection, Server};
use lisafs::wire::message::FSyncReq;
use lisafs::wire::{FdArray, FdId};
use parking_lot::Mutex;

use crate::common::client::{Client, Pathway};
use crate::common::mem::Mem;
use crate::common::{LIMIT, connect, connect_at, serve};

/// Holds calls of one method up until they are let go.
struct Gate {
    entered: Receiver<()>,
    go_on: Sender<()>,
}

/// A file system whose calls of `method` wait at a gate.
fn gated(method: &'static str) -> (Arc<Mem>, Gate) {
    let ((enter, entered), (go_on, wait)) = (channel(), channel());
    let (enter, wait) = (Mutex::new(enter), Mutex::new(wait));
    let hook = move |called| {
        if called == method {
            enter.lock().send(()).unwrap();
            wait.lock().recv().unwrap();
        }
    };
    (Arc::new(Mem::with_hook(Options::default().tree_locks(true), Box::new(hook))), Gate { entered, go_on })
}

/// A client with a file `slow` that is open, the calls of which wait at a gate, and a file `f`.
struct Slow {
    client: Client,
    _connection: Connection,
    gate: Gate,
    root: FdId,
    file: FdId,
    open: FdId,
}

fn slow(method: &'static str) -> Slow {
    let (mem, gate) = gated(method);
    mem.add_file(&mem.root, b"slow", b"data");
    mem.add_file(&mem.root, b"f", b"");
    let (mut client, _connection) = serve(mem);
    let root = client.mount();
    let file = client.reach(root, &[b"slow"]);
    let open = client.open(file, libc::O_RDWR).unwrap();
    Slow { client, _connection, gate, root, file, open }
}

/// A name that is used again belongs to the new file, whatever becomes of the old one's FDs.
#[test]
fn an_old_file_does_not_take_the_new_ones_place() {
    let mem = Arc::new(Mem::new(Options::default().tree_locks(true)));
    let (mut client, _connection) = serve(mem);
    let root = client.mount();
    for replace in [false, true] {
        let old = client.mkdir(root, b"x").unwrap();
        if replace {
            let (_, open) = client.create(root, b"t", 0o644).unwrap();
            client.close(&[open]);
            client.rmdir(root, b"x").unwrap();
            client.rename((root, b"t"), (root, b"x")).unwrap();
            client.unlink(root, b"x").unwrap();
        } else {
            client.rmdir(root, b"x").unwrap();
        }
        let new = client.mkdir(root, b"x").unwrap();
        client.close(&[old]);
        // The new one is still known by its name: whoever removes it there finds it.
        client.rmdir(root, b"x").unwrap();
        assert_eq!(client.mkdir(new, b"inside").unwrap_err(), Errno::INVAL);
    }
}

#[test]
fn a_file_that_was_replaced_is_deleted_and_the_other_is_not() {
    let mem = Arc::new(Mem::new(Options::default().tree_locks(true)));
    let (mut client, _connection) = serve(mem);
    let root = client.mount();
    let (source, target) = (client.mkdir(root, b"source").unwrap(), client.mkdir(root, b"target").unwrap());
    client.rename((root, b"source"), (root, b"target")).unwrap();
    client.mkdir(source, b"inside").unwrap();
    assert_eq!(client.mkdir(target, b"inside").unwrap_err(), Errno::INVAL);
    // Renamed once more, and removed by its latest name.
    client.rmdir(source, b"inside").unwrap();
    client.rename((root, b"target"), (root, b"third")).unwrap();
    client.rmdir(root, b"third").unwrap();
    assert_eq!(client.mkdir(source, b"inside").unwrap_err(), Errno::INVAL);
}

#[test]
fn exchanged_files_have_each_others_names() {
    let mem = Arc::new(Mem::new(Options::default().tree_locks(true)));
    let (mut client, _connection) = serve(mem);
    let root = client.mount();
    let (one, other) = (client.mkdir(root, b"one").unwrap(), client.mkdir(root, b"other").unwrap());
    client.rename2((root, b"one"), (root, b"other"), 2).unwrap();
    client.rmdir(root, b"one").unwrap();
    assert_eq!(client.mkdir(other, b"x").unwrap_err(), Errno::INVAL);
    client.mkdir(one, b"x").unwrap();
    assert_eq!(client.rename2((root, b"other"), (one, b"x"), 2).unwrap_err(), Errno::INVAL);
    assert_eq!(client.rename((root, b"other"), (one, b"below")).unwrap_err(), Errno::INVAL);
}

/// Renaming one link of a file to another does nothing.
#[test]
fn hard_links_of_one_file_both_stay() {
    let mem = Arc::new(Mem::new(Options::default().deleted(no_deleted()).tree_locks(true)));
    let (mut client, _connection) = serve(mem);
    let root = client.mount();
    let (inode, _) = client.create(root, b"a", 0o644).unwrap();
    let link = client.link(root, b"b", inode.control_fd).unwrap();
    client.rename((root, b"a"), (root, b"b")).unwrap();
    for fd in [inode.control_fd, link] {
        assert!(client.open(fd, libc::O_RDONLY).is_ok(), "neither is deleted");
    }
    client.unlink(root, b"a").unwrap();
    assert_eq!(client.open(inode.control_fd, libc::O_RDONLY).unwrap_err(), Errno::INVAL);
    assert!(client.open(link, libc::O_RDONLY).is_ok());
}

fn no_deleted() -> lisafs::backend::DeletedFiles {
    lisafs::backend::DeletedFiles::NONE
}

#[test]
fn mounts_meet_in_one_tree() {
    let server = Server::new();
    let outer = Arc::new(Mem::new(Options::default().tree_locks(true)));
    let mnt = outer.add_dir(&outer.root, b"mnt");
    outer.add_dir(&mnt, b"a");
    let inner = Arc::new(Mem::new(Options::default().tree_locks(true)));
    let (mut outer_client, _outer) = connect(&server, outer);
    let (mut inner_client, _inner) = connect_at(&server, b"/mnt/a", inner);
    let (outer_root, inner_root) = (outer_client.mount(), inner_client.mount());
    let mnt = outer_client.reach(outer_root, &[b"mnt"]);
    inner_client.mkdir(inner_root, b"x").unwrap();
    outer_client.rmdir(mnt, b"a").unwrap();
    // The mount point is gone, for everybody.
    assert_eq!(inner_client.mkdir(inner_root, b"y").unwrap_err(), Errno::INVAL);
    outer_client.rmdir(outer_root, b"mnt").unwrap();
    let mount = inner_client.call(&lisafs::wire::message::MountReq {});
    assert_eq!(mount.unwrap_err(), Errno::NOENT);
}

#[test]
fn two_connections_see_one_position() {
    let server = Server::new();
    let mem = Arc::new(Mem::new(Options::default().tree_locks(true)));
    let (mut one, _one) = connect(&server, mem.clone());
    let (mut other, _other) = connect(&server, mem);
    let (one_root, other_root) = (one.mount(), other.mount());
    let dir = one.mkdir(one_root, b"d").unwrap();
    other.rmdir(other_root, b"d").unwrap();
    assert_eq!(one.mkdir(dir, b"x").unwrap_err(), Errno::INVAL);
}

#[test]
fn slow_data_holds_up_neither_renames_nor_other_files() {
    for method in ["sync", "read", "write", "open stat"] {
        let Slow { mut client, _connection, gate, root, open, .. } = slow(method);
        let (mut slow, mut waiting) = (client.channel().unwrap(), client.channel().unwrap());
        std::thread::scope(|scope| {
            scope.spawn(move || match method {
                "sync" => {
                    slow.call(&FSyncReq { fds: FdArray::new(&[open]).unwrap() }).unwrap();
                }
                "read" => assert_eq!(slow.read(open, 0, 4).unwrap(), b"data"),
                "write" => assert_eq!(slow.write(open, 0, b"more").unwrap(), 4),
                _ => assert!(slow.stat(open).is_ok()),
            });
            gate.entered.recv_timeout(LIMIT).unwrap();
            // This one has to wait for the file, and keeps nobody else from anything meanwhile.
            let unlinked = scope.spawn(move || waiting.unlink(root, b"slow"));
            for _ in 0..20 {
                client.rename((root, b"f"), (root, b"g")).unwrap();
                client.rename((root, b"g"), (root, b"f")).unwrap();
                assert!(client.stat(root).is_ok());
            }
            gate.go_on.send(()).unwrap();
            unlinked.join().unwrap().unwrap();
        });
        assert_eq!(client.walk(root, &[b"slow"]).unwrap().0, 1);
    }
}

/// So does whoever asks for the attributes of the file on the way to something else.
#[test]
fn who_waits_for_slow_data_holds_up_nobody() {
    let Slow { mut client, _connection, gate, root, file, open } = slow("write");
    let (mut slow, mut waiting) = (client.channel().unwrap(), client.channel().unwrap());
    let (asking, asks) = channel();
    std::thread::scope(|scope| {
        scope.spawn(move || assert_eq!(slow.write(open, 0, b"more").unwrap(), 4));
        gate.entered.recv_timeout(LIMIT).unwrap();
        let seen = scope.spawn(move || {
            asking.send(()).unwrap();
            waiting.walk_stat(file, &[b""]).unwrap()
        });
        asks.recv_timeout(LIMIT).unwrap();
        for _ in 0..200 {
            client.rename((root, b"f"), (root, b"g")).unwrap();
            client.rename((root, b"g"), (root, b"f")).unwrap();
        }
        gate.go_on.send(()).unwrap();
        assert_eq!(seen.join().unwrap().len(), 1);
    });
}

#[test]
fn nothing_else_runs_during_a_rename() {
    let (mem, gate) = gated("rename");
    mem.add_file(&mem.root, b"f", b"data");
    mem.add_file(&mem.root, b"other", b"");
    let server = Server::new();
    let (mut client, _connection) = connect(&server, mem.clone());
    let (mut other, _other_connection) = connect(&server, mem);
    let (root, other_root) = (client.mount(), other.mount());
    let file = other.reach(other_root, &[b"other"]);
    let open = other.open(file, libc::O_RDWR).unwrap();
    std::thread::scope(|scope| {
        let renamed = scope.spawn(|| client.rename((root, b"f"), (root, b"g")));
        gate.entered.recv_timeout(LIMIT).unwrap();
        // Data goes on.
        assert_eq!(other.write(open, 0, b"x").unwrap(), 1);
        // A walk has to wait until the rename is done, and sees what it has done.
        let walked = scope.spawn(|| other.walk(other_root, &[b"g"]));
        gate.go_on.send(()).unwrap();
        assert_eq!(walked.join().unwrap().unwrap().0, 0);
        renamed.join().unwrap().unwrap();
    });
}

/// Threads do everything to the same few names, in each direction of the tree.
#[test]
fn locks_do_not_lock_each_other_out() {
    let server = Server::new();
    let mem = Arc::new(Mem::new(Options::default().tree_locks(true)));
    let clients: Vec<_> = (0..4).map(|_| connect(&server, mem.clone())).collect();
    std::thread::scope(|scope| {
        for (seed, (mut client, connection)) in clients.into_iter().enumerate() {
            scope.spawn(move || {
                let root = client.mount();
                let names: [&[u8]; 3] = [b"a", b"b", b"c"];
                for i in 0..400 {
                    let pick = |n: usize| names[(i * 7 + seed * 3 + n * i / 3) % 3];
                    // Most of these fail, depending on what the others do; all of them return.
                    let _ = client.mkdir(root, pick(0));
                    if let Ok((0, found)) = client.walk(root, &[pick(1)]) {
                        let dir = found[0].control_fd;
                        let _ = client.create(dir, pick(2), 0o644);
                        let _ = client.link(root, pick(0), dir);
                        let _ = client.rename((dir, pick(2)), (root, pick(0)));
                        let _ = client.rename((root, pick(0)), (dir, pick(1)));
                        let _ = client.walk_stat(root, &[b"", pick(0), pick(1), pick(2)]);
                        let _ = client.unlink(dir, pick(2));
                        client.close(&[dir]);
                    }
                    let _ = client.rmdir(root, pick(2));
                    let _ = client.unlink(root, pick(1));
                }
                drop(connection);
            });
        }
    });
}
