//! What a host directory's client gets that asks for the wrong thing.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;

use gofer::hostfs::{HostFs, HostOptions, UdsPolicy};
use lisafs::backend::Errno;
use lisafs::server::Connection;
use lisafs::wire::message::*;
use lisafs::wire::{FdArray, FdId, NO_ID, Pad, Statx, StatxMask, StringArrayBuf, Timespec};
use tempfile::TempDir;

use crate::common::client::{Client, Outcome, Pathway, common, encode};
use crate::common::{serve, until};

const PAD: Pad<4> = Pad;

/// A served directory with a file `f`, a link `l` to it, a directory `d` with a file in it, and a socket `s`.
struct Scene {
    client: Client,
    root: FdId,
    dir: TempDir,
    _listener: UnixListener,
    _connection: Connection,
}

impl Scene {
    fn new() -> Self {
        // Files made by several users' rights would be in the way: what is checked here does not depend on them.
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("f"), "0123456789").unwrap();
        symlink("f", dir.path().join("l")).unwrap();
        fs::create_dir(dir.path().join("d")).unwrap();
        fs::write(dir.path().join("d/inside"), "").unwrap();
        let listener = UnixListener::bind(dir.path().join("s")).unwrap();
        let options = HostOptions::default().host_uds(UdsPolicy::All);
        let (mut client, connection) = serve(Arc::new(HostFs::open(dir.path(), options).unwrap()));
        let root = client.mount();
        Scene { client, root, dir, _listener: listener, _connection: connection }
    }

    fn reach(&mut self, name: &[u8]) -> FdId {
        self.client.reach(self.root, &[name])
    }

    fn set_stat(&mut self, fd: FdId, mask: StatxMask) -> Result<(StatxMask, u32), Errno> {
        let time = Timespec { sec: 0, nsec: 0 };
        self.set_stat_to(SetStatReq {
            fd,
            mask,
            mode: 0o600,
            uid: NO_ID,
            gid: NO_ID,
            size: 1,
            atime: time,
            mtime: time,
        })
    }

    fn set_stat_to(&mut self, request: SetStatReq) -> Result<(StatxMask, u32), Errno> {
        let answer = self.client.call(&request)?;
        let response: SetStatResp = answer.decode();
        Ok((response.failure_mask, response.failure_errno))
    }
}

fn errno<T: std::fmt::Debug>(result: Result<T, Errno>) -> Errno {
    result.expect_err("this is wrong")
}

#[test]
fn messages_that_are_none() {
    let mut scene = Scene::new();
    for message in [0, 20, 34, 255, 256, 65535] {
        assert_eq!(errno(scene.client.raw(message, b"")), Errno::OPNOTSUPP, "{message}");
    }
}

#[test]
fn every_request_that_is_cut_off() {
    let mut scene = Scene::new();
    let strings = StringArrayBuf::collect([&b"name"[..]]).unwrap();
    let time = Timespec { sec: 0, nsec: 0 };
    let (fd, name, path) = (FdId(999), &b"name"[..], strings.as_array());
    let common = common(fd, 0o644);
    let requests: Vec<(u16, Vec<u8>)> = vec![
        (3, encode(&FStatReq { fd })),
        (
            4,
            encode(&SetStatReq {
                fd,
                mask: StatxMask::empty(),
                mode: 0,
                uid: 0,
                gid: 0,
                size: 0,
                atime: time,
                mtime: time,
            }),
        ),
        (5, encode(&WalkReq { dir: fd, path })),
        (6, encode(&WalkStatReq { dir: fd, path })),
        (7, encode(&OpenAtReq { fd, flags: 0, pad: PAD })),
        (8, encode(&OpenCreateAtReq { common, flags: 0, name })),
        (9, encode(&CloseReq { fds: FdArray::new(&[fd]).unwrap() })),
        (10, encode(&FSyncReq { fds: FdArray::new(&[fd]).unwrap() })),
        (11, encode(&PWriteReq { offset: 0, fd, data: b"data" })),
        (12, encode(&PReadReq { offset: 0, fd, count: 0, pad: PAD })),
        (13, encode(&MkdirAtReq { common, name })),
        (14, encode(&MknodAtReq { common, minor: 0, major: 0, name })),
        (15, encode(&SymlinkAtReq { dir: fd, uid: 0, gid: 0, name, target: name })),
        (16, encode(&LinkAtReq { dir: fd, target: fd, name })),
        (17, encode(&FStatFsReq { fd })),
        (18, encode(&FAllocateReq { fd, mode: 0, offset: 0, length: 0 })),
        (19, encode(&ReadLinkAtReq { fd })),
        (21, encode(&ConnectReq { fd, sock_type: 0, pad: PAD })),
        (22, encode(&UnlinkAtReq { dir: fd, flags: 0, name })),
        (23, encode(&RenameAtReq { old_dir: fd, new_dir: fd, old_name: name, new_name: name })),
        (24, encode(&Getdents64Req { dir: fd, count: 0, pad: PAD })),
        (25, encode(&FGetXattrReq { fd, buf_size: 0, name })),
        (26, encode(&FSetXattrReq { fd, flags: 0, name, value: name })),
        (27, encode(&FListXattrReq { fd, size: 0 })),
        (28, encode(&FRemoveXattrReq { fd, name })),
        (29, encode(&BindAtReq { common, sock_type: 1, name })),
        (30, encode(&ListenReq { fd, backlog: 0, pad: PAD })),
        (31, encode(&AcceptReq { fd })),
        (32, encode(&ConnectWithCredsReq { fd, sock_type: 0, pad: PAD, uid: 0, gid: 0 })),
        (33, encode(&RenameAt2Req { old_dir: fd, new_dir: fd, old_name: name, new_name: name, flags: 0 })),
    ];
    for (message, bytes) in requests {
        for len in 0..bytes.len() {
            assert_eq!(errno(scene.client.raw(message, &bytes[..len])), Errno::IO, "{message}, {len} bytes");
        }
        // Complete, and with bytes behind it that do not matter: only the FD is wrong now.
        let all = [&bytes[..], b"more"].concat();
        let outcome = scene.client.raw(message, &all);
        match message {
            9 => assert!(outcome.is_ok()),
            _ => assert_eq!(errno(outcome), Errno::BADF, "{message}"),
        }
    }
}

#[test]
fn fds_that_are_none_or_of_another_kind() {
    let mut scene = Scene::new();
    for fd in [0, 999, u64::MAX] {
        assert_eq!(errno(scene.client.stat(FdId(fd))), Errno::BADF);
    }
    let f = scene.reach(b"f");
    let open = scene.client.open(f, libc::O_RDONLY).unwrap();
    assert_eq!(errno(scene.client.read(f, 0, 1)), Errno::INVAL);
    assert_eq!(errno(scene.client.write(f, 0, b"")), Errno::INVAL);
    assert_eq!(errno(scene.client.walk(open, &[])), Errno::INVAL);
    assert_eq!(errno(scene.client.list(scene.root, 100)), Errno::INVAL);
    assert_eq!(errno(scene.client.list(open, 100)), Errno::NOTDIR);
    assert_eq!(errno(scene.client.call(&ListenReq { fd: f, backlog: 1, pad: PAD })), Errno::INVAL);
    let mut sync = |fds: &[FdId]| scene.client.call(&FSyncReq { fds: FdArray::new(fds).unwrap() }).map(drop);
    assert_eq!(sync(&[FdId(999)]), Err(Errno::BADF));
    assert_eq!(sync(&[f]), Err(Errno::INVAL));
    assert_eq!(sync(&[open, FdId(999), f]), Err(Errno::BADF));
    assert_eq!(sync(&[open]), Ok(()));
    assert_eq!(sync(&[]), Ok(()));
    scene.client.close(&[FdId(999), FdId(999)]);
}

#[test]
fn walks_that_go_nowhere() {
    let mut scene = Scene::new();
    let (root, f, l) = (scene.root, scene.reach(b"f"), scene.reach(b"l"));
    let client = &mut scene.client;
    let kinds =
        |outcome: Result<(u8, Vec<lisafs::wire::Inode>), Errno>| outcome.map(|(status, found)| (status, found.len()));
    assert_eq!(kinds(client.walk(f, &[])), Err(Errno::NOTDIR));
    assert_eq!(kinds(client.walk(root, &[])), Ok((0, 0)));
    assert_eq!(kinds(client.walk(root, &[b"f", b"x"])), Err(Errno::NOTDIR));
    assert_eq!(kinds(client.walk(root, &[b"l", b"x"])), Ok((2, 1)));
    assert_eq!(kinds(client.walk(root, &[b"l"])), Ok((0, 1)));
    assert_eq!(kinds(client.walk(root, &[b"nope", b".."])), Ok((1, 0)));
    assert_eq!(kinds(client.walk(root, &[b"d", b"nope", b"x"])), Ok((1, 1)));
    for name in [&b""[..], b"..", b".", b"a/b", b"a\0b"] {
        assert_eq!(kinds(client.walk(root, &[name])), Err(Errno::INVAL), "{name:?}");
        assert_eq!(kinds(client.walk(root, &[b"d", name])), Err(Errno::INVAL), "{name:?}");
    }
    assert_eq!(kinds(client.walk(root, &[&[b'n'; 256]])), Err(Errno::NAMETOOLONG));

    let count = |outcome: Result<Vec<Statx>, Errno>| outcome.map(|stats| stats.len());
    assert_eq!(count(client.walk_stat(root, &[b"", b"f"])), Ok(2));
    assert_eq!(count(client.walk_stat(root, &[b"f", b""])), Err(Errno::INVAL));
    assert_eq!(count(client.walk_stat(root, &[b"", b"", b"f"])), Err(Errno::INVAL));
    assert_eq!(count(client.walk_stat(f, &[b""])), Ok(1));
    assert_eq!(count(client.walk_stat(f, &[])), Ok(0));
    assert_eq!(count(client.walk_stat(f, &[b"x"])), Err(Errno::NOTDIR));
    assert_eq!(count(client.walk_stat(root, &[b"f", b"x"])), Err(Errno::NOTDIR));
    assert_eq!(count(client.walk_stat(root, &[b"nope", b"x"])), Ok(0));
    assert_eq!(count(client.walk_stat(root, &[b"l", b"x"])), Ok(1));
    assert_eq!(count(client.walk_stat(l, &[b""])), Ok(1));
}

#[test]
fn opening_what_cannot_be_opened() {
    let mut scene = Scene::new();
    let (root, f, l) = (scene.root, scene.reach(b"f"), scene.reach(b"l"));
    assert_eq!(errno(scene.client.open(l, libc::O_RDONLY)), Errno::INVAL);
    for flags in [libc::O_RDWR, libc::O_WRONLY, libc::O_TRUNC] {
        assert_eq!(errno(scene.client.open(root, flags)), Errno::ISDIR);
    }
    let mut open = |flags: i32| {
        let flags = flags.try_into().unwrap();
        scene.client.call(&OpenAtReq { fd: f, flags, pad: PAD }).map(|answer| answer.fds.len())
    };
    // Access mode 3, and flags that are ignored.
    for flags in [3, libc::O_RDWR | libc::O_CREAT | libc::O_EXCL | libc::O_DIRECTORY | libc::O_APPEND] {
        assert_eq!(open(flags), Ok(1));
    }
    assert_eq!(open(libc::O_TRUNC), Ok(1));
    assert_eq!(fs::read(scene.dir.path().join("f")).unwrap(), b"");
}

#[test]
fn attributes_that_cannot_be_set() {
    let mut scene = Scene::new();
    let (root, f, l) = (scene.root, scene.reach(b"f"), scene.reach(b"l"));
    let none = StatxMask::empty();
    let errno = |errno: Errno| u32::try_from(errno.raw_os_error()).unwrap();
    assert_eq!(scene.set_stat(f, StatxMask::TYPE), Err(Errno::PERM));
    assert_eq!(scene.set_stat(f, none), Ok((none, 0)));
    assert_eq!(scene.set_stat(l, StatxMask::SIZE), Ok((StatxMask::SIZE, errno(Errno::LOOP))));
    assert_eq!(scene.set_stat(root, StatxMask::SIZE), Ok((StatxMask::SIZE, errno(Errno::ISDIR))));
    assert_eq!(scene.set_stat(l, StatxMask::MODE), Ok((StatxMask::MODE, errno(Errno::OPNOTSUPP))));
    assert_eq!(scene.set_stat(f, StatxMask::MODE | StatxMask::SIZE), Ok((none, 0)));
    let time = |nsec| Timespec { sec: 0, nsec };
    let request =
        |mask, size, atime| SetStatReq { fd: f, mask, mode: 0, uid: NO_ID, gid: NO_ID, size, atime, mtime: time(0) };
    let invalid = errno(Errno::INVAL);
    assert_eq!(scene.set_stat_to(request(StatxMask::ATIME, 0, time(2_000_000_000))), Ok((StatxMask::ATIME, invalid)));
    assert_eq!(scene.set_stat_to(request(StatxMask::ATIME, 0, time(Timespec::UTIME_NOW))), Ok((none, 0)));
    assert_eq!(scene.set_stat_to(request(StatxMask::SIZE, 1 << 63, time(0))), Ok((StatxMask::SIZE, invalid)));
}

#[test]
fn new_files_that_cannot_be_made() {
    let mut scene = Scene::new();
    let (root, f) = (scene.root, scene.reach(b"f"));
    let client = &mut scene.client;
    assert_eq!(errno(client.mkdir(f, b"x")), Errno::NOTDIR);
    assert_eq!(errno(client.mkdir(root, b"f")), Errno::EXIST);
    for name in [&b"."[..], b"..", b"", b"a/b", b"a\0"] {
        // The name is looked at before the FD is.
        assert_eq!(errno(client.mkdir(FdId(999), name)), Errno::INVAL);
        assert_eq!(errno(client.create(FdId(999), name, 0o644)), Errno::INVAL);
        assert_eq!(errno(client.unlink(FdId(999), name)), Errno::INVAL);
        assert_eq!(errno(client.rename((FdId(999), b"f"), (FdId(999), name))), Errno::INVAL);
    }
    let mut mknod = |mode, major, minor| {
        client.call(&MknodAtReq { common: common(root, mode), minor, major, name: b"special" }).map(drop)
    };
    assert_eq!(mknod(0o010_644, 0, 0), Err(Errno::PERM));
    assert_eq!(mknod(0o644, 0, 0), Err(Errno::PERM));
    assert_eq!(mknod(0o040_755, 0, 0), Err(Errno::PERM));
    assert_eq!(mknod(0o020_644, 1, 3), Err(Errno::PERM));
    let mut symlink = |target: &[u8]| {
        client.call(&SymlinkAtReq { dir: root, uid: NO_ID, gid: NO_ID, name: b"new", target }).map(drop)
    };
    assert_eq!(symlink(b""), Err(Errno::NOENT));
    assert_eq!(symlink(b"a\0"), Err(Errno::INVAL));
    assert_eq!(errno(client.create(root, b"f", 0o644)), Errno::EXIST);
    assert_eq!(errno(client.link(root, b"f", f)), Errno::EXIST);
    assert_eq!(errno(client.link(root, b"x", root)), Errno::PERM);
    assert_eq!(errno(client.link(root, b"x", FdId(999))), Errno::BADF);
}

#[test]
fn names_that_cannot_be_removed_or_changed() {
    let mut scene = Scene::new();
    let (root, f) = (scene.root, scene.reach(b"f"));
    let client = &mut scene.client;
    assert_eq!(client.unlink(root, b"nope"), Err(Errno::NOENT));
    assert_eq!(client.unlink(root, b"d"), Err(Errno::ISDIR));
    assert_eq!(client.rmdir(root, b"d"), Err(Errno::NOTEMPTY));
    assert_eq!(client.rmdir(root, b"f"), Err(Errno::NOTDIR));
    assert_eq!(client.unlink(f, b"x"), Err(Errno::NOTDIR));
    let unlink = client.call(&UnlinkAtReq { dir: root, flags: 1, name: b"f" });
    assert_eq!(errno(unlink), Errno::INVAL);

    // A rename to itself is a question for the file system, too.
    assert_eq!(client.rename((root, b"nope"), (root, b"nope")), Err(Errno::NOENT));
    assert_eq!(client.rename((root, b"f"), (root, b"f")), Ok(()));
    assert_eq!(client.rename2((root, b"f"), (root, b"f"), 1), Err(Errno::EXIST));
    for flags in [3, 4, 0x80] {
        assert_eq!(client.rename2((root, b"f"), (root, b"g"), flags), Err(Errno::INVAL), "{flags}");
    }
    assert_eq!(client.rename2((root, b"f"), (root, b"nope"), 2), Err(Errno::NOENT));
    assert_eq!(client.rename2((root, b"f"), (root, b"d"), 2), Ok(()));
    assert_eq!(client.rename((root, b"f"), (f, b"x")), Err(Errno::NOTDIR));
    let dir = client.reach(root, &[b"f"]);
    assert_eq!(client.rename((root, b"f"), (dir, b"x")), Err(Errno::INVAL));
    assert!(scene.dir.path().join("d").is_file());
}

#[test]
fn io_that_cannot_be_done() {
    let mut scene = Scene::new();
    let f = scene.reach(b"f");
    let client = &mut scene.client;
    let (reader, writer) = (client.open(f, libc::O_RDONLY).unwrap(), client.open(f, libc::O_WRONLY).unwrap());
    assert_eq!(client.write(reader, 0, b"x"), Err(Errno::BADF));
    assert_eq!(client.read(writer, 0, 1), Err(Errno::BADF));
    assert_eq!(client.write(writer, 1 << 63, b"x"), Err(Errno::INVAL));
    assert_eq!(client.read(reader, 1 << 63, 1), Err(Errno::INVAL));
    assert_eq!(client.write(writer, 0, b""), Ok(0));
    assert_eq!(client.read(reader, 5, 5).as_deref(), Ok(&b"56789"[..]));
    assert_eq!(client.read(reader, 0, 0).as_deref(), Ok(&b""[..]));
    assert_eq!(client.read(reader, 10, 5).as_deref(), Ok(&b""[..]));
    // The count in the head decides, not the size of the message.
    let mut write = encode(&PWriteHead { offset: 0, fd: writer, count: 1 });
    assert_eq!(errno(client.raw(11, &write)), Errno::IO);
    write.extend(b"xyz");
    assert_eq!(client.raw(11, &write).unwrap().decode::<PWriteResp>().count, 1);
    assert_eq!(client.read(reader, 0, 3).as_deref(), Ok(&b"x12"[..]));

    let mut allocate = |fd, mode| client.call(&FAllocateReq { fd, mode, offset: 0, length: 10 }).map(drop);
    assert_eq!(allocate(reader, 0), Err(Errno::BADF));
    assert_eq!(allocate(writer, 0xff00), Err(Errno::OPNOTSUPP));
    assert_eq!(allocate(writer, 1 << 32), Err(Errno::OPNOTSUPP));

    let link = scene.reach(b"l");
    let mut read_link = |fd| -> Outcome { scene.client.call(&ReadLinkAtReq { fd }) };
    assert_eq!(errno(read_link(f)), Errno::INVAL);
    assert_eq!(read_link(link).unwrap().decode::<ReadLinkAtResp<'_>>().target, b"f");
}

#[test]
fn extended_attributes_that_cannot_be_had() {
    let mut scene = Scene::new();
    let fd = scene.reach(b"f");
    let client = &mut scene.client;
    let get = |client: &mut Client, buf_size, name| {
        let answer = client.call(&FGetXattrReq { fd, buf_size, name })?;
        Ok(answer.decode::<FGetXattrResp<'_>>().value.to_vec())
    };
    let set = |client: &mut Client, flags| {
        client.call(&FSetXattrReq { fd, flags, name: b"user.a", value: b"value" }).map(drop)
    };
    let list = |client: &mut Client, size| client.call(&FListXattrReq { fd, size }).map(|answer| answer.payload);
    assert_eq!(set(client, 0x10), Err(Errno::INVAL));
    assert_eq!(set(client, 2), Err(Errno::NODATA));
    assert_eq!(set(client, 0), Ok(()));
    assert_eq!(set(client, 1), Err(Errno::EXIST));
    assert_eq!(get(client, 0, b"user.missing"), Err(Errno::NODATA));
    for size in [0, 5, 65536, u32::MAX] {
        assert_eq!(get(client, size, b"user.a"), Ok(b"value".to_vec()));
    }
    assert_eq!(get(client, 4, b"user.a"), Err(Errno::RANGE));
    assert_eq!(list(client, 2), Err(Errno::RANGE));
    for size in [0, 7, 65536, u64::MAX] {
        assert_eq!(list(client, size), Ok(b"\x01\0\x06\0user.a".to_vec()));
    }
    assert_eq!(client.call(&FRemoveXattrReq { fd, name: b"user.a" }).map(drop), Ok(()));
}

#[test]
fn sockets() {
    let mut scene = Scene::new();
    let (root, f, s) = (scene.root, scene.reach(b"f"), scene.reach(b"s"));
    let client = &mut scene.client;
    let connect = |client: &mut Client, fd, sock_type| {
        client.call(&ConnectReq { fd, sock_type, pad: PAD }).map(|answer| answer.fds.len())
    };
    assert_eq!(connect(client, f, 1), Err(Errno::NOTSOCK));
    assert_eq!(connect(client, s, 3), Err(Errno::NXIO));
    assert_eq!(connect(client, s, 2), Err(Errno::PROTOTYPE));
    assert_eq!(connect(client, s, 1), Ok(1));
    // Whatever kind it is.
    assert_eq!(connect(client, s, 0), Ok(1));
    let nobody = ConnectWithCredsReq { fd: s, sock_type: 1, pad: PAD, uid: NO_ID, gid: 0 };
    assert_eq!(errno(client.call(&nobody)), Errno::PERM);

    let bound = client.call(&BindAtReq { common: common(root, 0o140_700), sock_type: 1, name: b"bound" }).unwrap();
    assert_eq!(bound.fds.len(), 1);
    let BindAtResp { child, bound_socket_fd: socket } = bound.decode();
    assert_eq!(child.stat.mode, 0o140_700);
    // The socket's attributes are those of its file.
    assert_eq!(client.stat(socket).unwrap().ino, child.stat.ino);
    assert_eq!(client.stat(child.control_fd).unwrap().ino, child.stat.ino);
    assert_eq!(errno(client.walk(socket, &[])), Errno::INVAL);
    assert_eq!(errno(client.call(&AcceptReq { fd: socket })), Errno::INVAL);
    client.call(&ListenReq { fd: socket, backlog: 5, pad: PAD }).unwrap();
    assert_eq!(errno(client.call(&AcceptReq { fd: socket })), Errno::AGAIN);
    assert_eq!(connect(client, child.control_fd, 1), Ok(1));
    let accepted = client.call(&AcceptReq { fd: socket }).unwrap();
    assert_eq!((accepted.payload.as_slice(), accepted.fds.len()), (&[0, 0][..], 1));

    // With its FD the socket goes, whoever else may have used it before.
    client.close(&[socket, child.control_fd]);
    drop(bound);
    // A child that another test starts has all descriptors for a moment, this one too.
    until("the end of the socket", || {
        let connected = UnixStream::connect(scene.dir.path().join("bound"));
        connected.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused)
    });
}
