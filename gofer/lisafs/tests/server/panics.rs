//! Backends that panic.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use lisafs::backend::*;
use lisafs::server::Server;

use crate::common::client::{Client, Pathway};
use crate::common::mem::Mem;
use crate::common::{connect, serve};

#[test]
fn one_request_fails_and_everything_else_goes_on() {
    let mem = Arc::new(Mem::new(Options::default().tree_locks(true)));
    mem.add_dir(&mem.root, b"dir");
    let server = Server::new();
    let (mut client, _connection) = connect(&server, mem.clone());
    let (mut other, _other_connection) = connect(&server, mem.clone());
    let (root, other_root) = (client.mount(), other.mount());
    let mut channel = client.channel().unwrap();
    let before = Arc::strong_count(&mem.root);
    for _ in 0..3 {
        assert_eq!(client.walk(root, &[b"dir", b"panic"]).unwrap_err(), Errno::REMOTEIO);
        assert_eq!(channel.walk(root, &[b"dir", b"panic"]).unwrap_err(), Errno::REMOTEIO);
    }
    // Locks are free, nothing that was walked to is left.
    assert_eq!(Arc::strong_count(&mem.root), before);
    for client in [&mut client as &mut dyn Pathway, &mut channel] {
        let walk =
            crate::common::client::encode(&lisafs::wire::message::WalkReq { dir: root, path: Default::default() });
        client.raw(5, &walk).unwrap();
    }
    assert_eq!(other.mkdir(other_root, b"new").map(drop), Ok(()));
}

/// A directory whose opening panics after a descriptor was handed over, every other time.
struct Fragile;

struct Root;

/// Panics when it goes.
struct Bomb;

impl Backend for Fragile {
    fn attach(&self) -> Result<Attachment> {
        Ok(Attachment::new(Found::new(Root, stat())))
    }
}

fn stat() -> Statx {
    Statx { mask: StatxMask::BASIC_STATS, mode: 0o040_755, ino: 1, ..Statx::default() }
}

impl ControlFile for Root {
    fn stat(&self) -> Result<Statx> {
        Ok(stat())
    }

    fn walk(&self, name: Name<'_>) -> Result<Found> {
        if name.as_bytes() == b"bomb" { Ok(Found::new(Bomb, stat())) } else { Err(Error::NOENT) }
    }

    fn open(&self, _: OpenHow) -> Result<Opened> {
        let fd = OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
        Ok(Opened::new(Bomb).donating(Some(fd)))
    }
}

impl ControlFile for Bomb {
    fn stat(&self) -> Result<Statx> {
        Ok(stat())
    }

    fn walk(&self, _: Name<'_>) -> Result<Found> {
        Err(Error::IO)
    }

    fn open(&self, _: OpenHow) -> Result<Opened> {
        Err(Error::IO)
    }
}

impl OpenFile for Bomb {
    fn stat(&self) -> Result<Statx> {
        panic!("as wanted")
    }

    fn sync(&self) -> Result<()> {
        panic!("as wanted")
    }
}

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("as wanted")
    }
}

#[test]
fn a_file_that_panics_when_it_is_closed_does_not_end_anything() {
    let (mut client, connection) = serve(Arc::new(Fragile));
    let root = client.mount();
    let first = client.open(root, libc::O_RDONLY).unwrap();
    let second = client.open(root, libc::O_RDONLY).unwrap();
    let close = |client: &mut Client, fd| {
        let fds = [fd];
        let fds = lisafs::wire::FdArray::new(&fds).unwrap();
        client.call(&lisafs::wire::message::CloseReq { fds }).map(drop)
    };
    assert_eq!(client.stat(first).unwrap_err(), Errno::REMOTEIO);
    assert_eq!(close(&mut client, first), Err(Errno::REMOTEIO));
    // No descriptor of an earlier answer comes with a later one.
    assert_eq!(client.raw(5, &[0; 10]).unwrap_err(), Errno::BADF);
    assert_eq!(client.stat(first).unwrap_err(), Errno::BADF);
    assert_eq!(client.stat(second).unwrap_err(), Errno::REMOTEIO);
    drop(client);
    connection.wait();
}

#[test]
fn a_file_that_panics_when_a_walk_gives_it_up_does_not_end_anything() {
    let (mut client, connection) = serve(Arc::new(Fragile));
    let root = client.mount();
    let mut channel = client.channel().unwrap();
    for _ in 0..2 {
        assert_eq!(client.walk(root, &[b"bomb", b"x"]).unwrap_err(), Errno::REMOTEIO);
        assert_eq!(channel.walk(root, &[b"bomb", b"x"]).unwrap_err(), Errno::REMOTEIO);
        assert_eq!(channel.walk(root, &[b"nothing"]).unwrap().0, 1);
    }
    drop(client);
    connection.wait();
}
