//! What calls do on a backend with a tree, as a client sees it.

use std::sync::Arc;

use lisafs::backend::{DeletedFiles, Errno, Options};
use lisafs::server::Connection;
use lisafs::wire::message::*;
use lisafs::wire::{FdId, Pad, StatxMask, Timespec};

use crate::common::client::{Client, Pathway};
use crate::common::mem::Mem;
use crate::common::serve;

fn scene(options: Options) -> (Client, FdId, Arc<Mem>, Connection) {
    let mem = Arc::new(Mem::new(options));
    let dir = mem.add_dir(&mem.root, b"dir");
    mem.add_file(&dir, b"file", b"data");
    mem.add_symlink(&dir, b"link");
    let (mut client, connection) = serve(mem.clone());
    let root = client.mount();
    (client, root, mem, connection)
}

#[test]
fn walks_step_by_step() {
    for tree_locks in [false, true] {
        let (mut client, root, _mem, _connection) = scene(Options::default().tree_locks(tree_locks));
        let kinds = |client: &mut Client, path: &[&[u8]]| {
            client.walk(root, path).map(|(status, inodes)| (status, inodes.len()))
        };
        assert_eq!(kinds(&mut client, &[b"dir", b"file"]), Ok((0, 2)));
        assert_eq!(kinds(&mut client, &[b"dir", b"nope", b"x"]), Ok((1, 1)));
        assert_eq!(kinds(&mut client, &[b"dir", b"link", b"x"]), Ok((2, 2)));
        assert_eq!(kinds(&mut client, &[b"dir", b"file", b"x"]), Err(Errno::NOTDIR));
        assert_eq!(kinds(&mut client, &[b"dir", b".."]), Err(Errno::INVAL));
        let stats = |client: &mut Client, path: &[&[u8]]| client.walk_stat(root, path).map(|stats| stats.len());
        assert_eq!(stats(&mut client, &[b"", b"dir", b"file"]), Ok(3));
        assert_eq!(stats(&mut client, &[b"dir", b"nope"]), Ok(1));
        assert_eq!(stats(&mut client, &[b"dir", b"link", b"x"]), Ok(2));
        assert_eq!(stats(&mut client, &[b"dir", b"file", b"x"]), Err(Errno::NOTDIR));
        assert_eq!(stats(&mut client, &[b"dir", b""]), Err(Errno::INVAL));
    }
}

#[test]
fn a_walk_that_fails_leaves_nothing() {
    for tree_locks in [false, true] {
        let (mut client, root, mem, _connection) = scene(Options::default().tree_locks(tree_locks).max_fds(10));
        let before = Arc::strong_count(&mem.root);
        for _ in 0..100 {
            assert_eq!(client.walk(root, &[b"dir", b"file", b"x"]).unwrap_err(), Errno::NOTDIR);
        }
        assert_eq!(Arc::strong_count(&mem.root), before);
        assert_eq!(client.walk(root, &[b"dir", b"file"]).unwrap().1.len(), 2);
    }
}

#[test]
fn a_deleted_file_lives_on() {
    let (mut client, root, _mem, _connection) = scene(Options::default().tree_locks(true));
    let dir = client.reach(root, &[b"dir"]);
    let (file, link) = (client.reach(dir, &[b"file"]), client.reach(dir, &[b"link"]));
    let open = client.open(file, libc::O_RDWR).unwrap();
    client.unlink(dir, b"file").unwrap();
    client.unlink(dir, b"link").unwrap();
    assert!(client.stat(file).is_ok());
    assert!(client.open(file, libc::O_RDONLY).is_ok());
    assert_eq!(client.read(open, 0, 4).unwrap(), b"data");
    assert_eq!(client.write(open, 0, b"more").unwrap(), 4);
    client.call(&FSetXattrReq { fd: file, flags: 0, name: b"user.a", value: b"v" }).unwrap();
    assert_eq!(client.call(&FGetXattrReq { fd: file, buf_size: 0, name: b"user.a" }).unwrap().payload, b"\x01\0v");
    assert_eq!(client.call(&FListXattrReq { fd: file, size: 0 }).unwrap().payload, b"\x01\0\x06\0user.a");
    assert!(client.call(&ReadLinkAtReq { fd: link }).is_ok());
    let again = client.link(dir, b"again", file).unwrap();
    assert_eq!(client.stat(again).unwrap().ino, client.stat(file).unwrap().ino);
}

#[test]
fn what_works_on_deleted_files_can_be_chosen() {
    let deleted = DeletedFiles::NONE;
    let (mut client, root, _mem, _connection) = scene(Options::default().deleted(deleted).tree_locks(true));
    let dir = client.reach(root, &[b"dir"]);
    let file = client.reach(dir, &[b"file"]);
    let open = client.open(file, libc::O_RDWR).unwrap();
    client.unlink(dir, b"file").unwrap();
    assert_eq!(client.open(file, libc::O_RDONLY).unwrap_err(), Errno::INVAL);
    let time = Timespec { sec: 0, nsec: 0 };
    let set =
        SetStatReq { fd: file, mask: StatxMask::MODE, mode: 0, uid: 0, gid: 0, size: 0, atime: time, mtime: time };
    assert_eq!(client.call(&set).unwrap_err(), Errno::INVAL);
    assert_eq!(client.call(&FAllocateReq { fd: open, mode: 0, offset: 0, length: 1 }).unwrap_err(), Errno::INVAL);
}

#[test]
fn nothing_happens_in_a_deleted_directory() {
    let (mut client, root, _mem, _connection) = scene(Options::default().tree_locks(true));
    let empty = client.mkdir(root, b"empty").unwrap();
    let open = client.open(empty, libc::O_RDONLY).unwrap();
    client.rmdir(root, b"empty").unwrap();
    assert_eq!(client.walk(empty, &[b"x"]).unwrap(), (1, vec![]));
    assert_eq!(client.walk_stat(empty, &[b"", b"x"]).unwrap().len(), 1);
    assert_eq!(client.mkdir(empty, b"x").unwrap_err(), Errno::INVAL);
    assert_eq!(client.create(empty, b"x", 0o644).unwrap_err(), Errno::INVAL);
    assert_eq!(client.unlink(empty, b"x").unwrap_err(), Errno::INVAL);
    assert_eq!(client.rename((root, b"dir"), (empty, b"x")).unwrap_err(), Errno::INVAL);
    assert_eq!(client.rename((empty, b"x"), (root, b"x")).unwrap_err(), Errno::INVAL);
    assert_eq!(client.list(open, 100).unwrap_err(), Errno::INVAL);
    let dir = client.reach(root, &[b"dir"]);
    let file = client.reach(dir, &[b"file"]);
    assert_eq!(client.link(empty, b"x", file).unwrap_err(), Errno::INVAL);
}

#[test]
fn reading_a_directory_is_no_reading() {
    let (mut client, root, _mem, _connection) = scene(Options::default().tree_locks(true));
    let open = client.open(root, libc::O_RDONLY).unwrap();
    assert_eq!(client.read(open, 0, 10).unwrap_err(), Errno::ISDIR);
    let flush = client.call(&FlushReq { fd: open });
    assert_eq!(flush.unwrap_err(), Errno::OPNOTSUPP);
    assert_eq!(client.call(&Getdents64Req { dir: root, count: 1, pad: Pad }).unwrap_err(), Errno::INVAL);
}
