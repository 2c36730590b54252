//! UNIX sockets.

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};

use rustix::net::sockopt::{socket_peercred, socket_type};

use super::*;
use lisafs::backend::{Credentials, FileType, Mode, SetStat, SocketType};

fn with(host_uds: UdsPolicy) -> Fixture {
    Fixture::new(HostOptions { host_uds, ..HostOptions::default() })
}

fn host_type(fd: &OwnedFd) -> rustix::net::SocketType {
    socket_type(fd).unwrap()
}

#[test]
fn a_connection_reaches_the_listener_even_without_a_name() {
    let fixture = with(UdsPolicy::Open);
    let listener = UnixListener::bind(fixture.path("s")).unwrap();
    let socket = fixture.walk("s");
    std::fs::remove_file(fixture.path("s")).unwrap();
    let mut near = UnixStream::from(socket.connect(Some(SocketType::Stream), None).unwrap());
    let (mut far, _) = listener.accept().unwrap();
    near.write_all(b"hello").unwrap();
    drop(near);
    let mut text = String::new();
    far.read_to_string(&mut text).unwrap();
    assert_eq!(text, "hello");
}

#[test]
fn any_type_means_the_listeners() {
    let fixture = Fixture::open();
    let _stream = UnixListener::bind(fixture.path("stream")).unwrap();
    let _datagram = UnixDatagram::bind(fixture.path("datagram")).unwrap();
    let packets = fixture.root.bind(name("packets"), &own(0o600), SocketType::SeqPacket).ok().unwrap();
    packets.socket.listen(1).unwrap();
    for (entry, kind) in [
        ("stream", rustix::net::SocketType::STREAM),
        ("datagram", rustix::net::SocketType::DGRAM),
        ("packets", rustix::net::SocketType::SEQPACKET),
    ] {
        assert_eq!(host_type(&fixture.walk(entry).connect(None, None).unwrap()), kind);
    }
    assert_eq!(error(fixture.walk("stream").connect(Some(SocketType::Datagram), None)), Some(Errno::PROTOTYPE));
    fixture.write("f", "");
    assert_eq!(error(fixture.walk("f").connect(None, None)), Some(Errno::NOTSOCK));
    drop(packets);
    until("the end of the socket", || error(fixture.walk("packets").connect(None, None)) == Some(Errno::CONNREFUSED));
}

#[test]
fn the_policy_decides() {
    for (policy, opens, creates) in [
        (UdsPolicy::None, false, false),
        (UdsPolicy::Open, true, false),
        (UdsPolicy::Create, false, true),
        (UdsPolicy::All, true, true),
    ] {
        let fixture = with(policy);
        let _listener = UnixListener::bind(fixture.path("s")).unwrap();
        assert_eq!(error(fixture.walk("s").connect(None, None)), (!opens).then_some(Errno::PERM));
        let bound = fixture.root.bind(name("new"), &own(0o600), SocketType::Stream);
        assert_eq!(error(bound), (!creates).then_some(Errno::PERM));
        assert_eq!(exists(&fixture.path("new")), creates);
    }
}

#[test]
fn a_full_queue_does_not_block() {
    let fixture = with(UdsPolicy::All);
    let bound = fixture.root.bind(name("s"), &own(0o600), SocketType::Stream).ok().unwrap();
    bound.socket.listen(1).unwrap();
    let mut waiting = Vec::new();
    let errno = loop {
        match bound.found.file.connect(Some(SocketType::Stream), None) {
            Ok(fd) => waiting.push(fd),
            Err(errno) => break errno,
        }
        assert!(waiting.len() < 10);
    };
    assert_eq!(errno, Errno::AGAIN);
    for _ in &waiting {
        assert!(bound.socket.accept().is_ok());
    }
    assert_eq!(error(bound.socket.accept()), Some(Errno::AGAIN));
    // Not even if the client has changed its descriptor, which is the same socket.
    rustix::io::ioctl_fionbio(&bound.donated, false).unwrap();
    assert_eq!(error(bound.socket.accept()), Some(Errno::AGAIN));
}

#[test]
fn a_bound_socket_and_its_file_are_two_things() {
    let fixture = with(UdsPolicy::All);
    let bound = fixture.root.bind(name("s"), &owned(0o4642, USER, USER), SocketType::Stream).ok().unwrap();
    let path = fixture.path("s");
    let on_disk = std::fs::symlink_metadata(&path).unwrap();
    assert_eq!((bound.found.stat.ino, bound.found.stat.file_type()), (on_disk.ino(), Some(FileType::Socket)));
    assert_eq!((mode(&path), owner(&path)), (0o4642, (USER, USER)));
    assert_eq!(bound.found.file.stat(), Ok(bound.found.stat));
    let change = SetStat::new().uid(USER + 1).mode(Mode::new(0o600));
    assert_eq!(bound.found.file.set_stat(&change), Ok(()));
    assert_eq!((mode(&path), owner(&path).0), (0o600, USER + 1));

    assert_eq!(host_type(&bound.donated), rustix::net::SocketType::STREAM);
    drop(bound.found.file);
    bound.socket.listen(5).unwrap();
    let near = UnixStream::connect(&path).unwrap();
    let far = UnixStream::from(bound.socket.accept().unwrap());
    assert_eq!((&near).write(b"x").unwrap(), 1);
    far.set_nonblocking(false).unwrap();
    assert_eq!((&far).read(&mut [0; 4]).unwrap(), 1);
}

#[test]
fn binding_takes_all_names_that_an_address_has_room_for() {
    let fixture = with(UdsPolicy::All);
    std::fs::create_dir_all(fixture.path(&"d".repeat(200))).unwrap();
    let dir = fixture.walk(&"d".repeat(200));
    let longest = "n".repeat(107);
    let bound = dir.bind(name(&longest), &own(0o600), SocketType::Stream).ok().unwrap();
    bound.socket.listen(1).unwrap();
    assert!(walk(&*dir, &longest).unwrap().connect(None, None).is_ok());
    assert_eq!(error(dir.bind(name(&"n".repeat(120)), &own(0o600), SocketType::Stream)), Some(Errno::INVAL));
    assert_eq!(error(dir.bind(name(&longest), &own(0o600), SocketType::Stream)), Some(Errno::ADDRINUSE));
    // The thread that does this has come back to where it was.
    assert!(fixture.root.bind(name("s"), &own(0o600), SocketType::Stream).is_ok());
}

#[test]
fn credentials_are_the_ones_asked_for_and_only_for_this_connection() {
    let fixture = with(UdsPolicy::Open);
    let path = fixture.path("s");
    let listener = UnixListener::bind(&path).unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let socket = fixture.walk("s");
    let connect = |uid, gid| socket.connect(None, Some(Credentials::new(uid, gid)));
    assert_eq!(error(connect(USER, USER)), Some(Errno::ACCESS));
    chown(&path, Some(USER), None).unwrap();
    let _near = connect(USER, USER + 1).unwrap();
    let peer = socket_peercred(listener.accept().unwrap().0).unwrap();
    assert_eq!((peer.uid.as_raw(), peer.gid.as_raw()), (USER, USER + 1));
    assert_eq!(error(connect(USER + 1, USER)), Some(Errno::ACCESS));
    for (uid, gid) in [(NO_ID, 0), (0, NO_ID)] {
        assert_eq!(error(connect(uid, gid)), Some(Errno::PERM));
    }
    // The thread is its old self again, and so is every other.
    let _near = socket.connect(None, None).unwrap();
    assert_eq!(socket_peercred(listener.accept().unwrap().0).unwrap().uid.as_raw(), 0);
    assert_eq!(rustix::process::geteuid().as_raw(), 0);
}

#[test]
fn nobody_becomes_somebody_without_the_right_to() {
    let fixture = with(UdsPolicy::None);
    let path = fixture.path("s");
    let _listener = UnixListener::bind(&path).unwrap();
    chown(&path, Some(USER), None).unwrap();
    as_user(|| {
        let options = HostOptions { host_uds: UdsPolicy::Open, ..HostOptions::default() };
        let socket = HostFs::open(&path, options).unwrap().attach().ok().unwrap().root.file;
        let connect = |uid, gid| error(socket.connect(None, Some(Credentials::new(uid, gid))));
        assert_eq!(connect(0, 0), Some(Errno::PERM));
        assert_eq!(connect(USER, 0), Some(Errno::PERM));
        assert_eq!(connect(USER + 1, USER), Some(Errno::PERM));
        assert_eq!(connect(USER, USER), None);
        assert!(socket.connect(None, None).is_ok());
    });
}
