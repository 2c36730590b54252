//! FIFOs, devices and sockets as files.

use rustix::fs::{CWD, FileType, Mode, OFlags, makedev, mknodat, open as host_open};

use super::*;
use lisafs::backend::Error;
use lisafs::backend::{IoSource, IoTarget};

fn make(fixture: &Fixture, entry: &str, kind: FileType, device: (u32, u32)) {
    mknodat(CWD, fixture.path(entry), kind, Mode::from_raw_mode(0o600), makedev(device.0, device.1)).unwrap();
}

#[test]
fn a_fifo_that_is_only_looked_at_has_no_reader() {
    let fixture = Fixture::open();
    make(&fixture, "p", FileType::Fifo, (0, 0));
    let fifo = fixture.walk("p");
    let write = || host_open(fixture.path("p"), OFlags::WRONLY | OFlags::NONBLOCK, Mode::empty());
    assert_eq!(write().err(), Some(rustix::io::Errno::NXIO));
    // Nor does opening it wait for somebody; the client asks again.
    assert_eq!(error(open(&*fifo, Access::Write)), Some(Errno::NXIO));
    let reader = open(&*fifo, Access::Read).ok().unwrap();
    assert!(reader.donated.is_some());
    let writer = open(&*fifo, Access::Write).ok().unwrap().donated.unwrap();
    assert_eq!(rustix::io::write(&writer, b"data"), Ok(4));
    let mut bytes = [0; 8];
    assert_eq!(rustix::io::read(reader.donated.unwrap(), &mut bytes), Ok(4));
    drop(reader.file);
    until("the end of the reader", || write().err() == Some(rustix::io::Errno::NXIO));
}

#[test]
fn the_stock_server_opens_no_special_files() {
    let fixture = Fixture::stock();
    make(&fixture, "p", FileType::Fifo, (0, 0));
    make(&fixture, "c", FileType::CharacterDevice, (1, 3));
    make(&fixture, "s", FileType::Socket, (0, 0));
    for entry in ["p", "c", "s"] {
        assert_eq!(error(open(&*fixture.walk(entry), Access::Read)), Some(Errno::PERM), "{entry}");
    }
}

#[test]
fn character_devices_are_donated() {
    let fixture = Fixture::open();
    make(&fixture, "null", FileType::CharacterDevice, (1, 3));
    let opened = open(&*fixture.walk("null"), Access::ReadWrite).ok().unwrap();
    assert_eq!(rustix::io::write(opened.donated.unwrap(), b"data"), Ok(4));
    // That is how to use them: whoever has it can make the server's descriptor block, too.
    assert_eq!(opened.file.write_at(IoSource::from(&b"data"[..]), 0), Err(Error::SPIPE));
    assert_eq!(opened.file.read_at(IoTarget::from(&mut [0][..]), 0), Err(Error::SPIPE));
    make(&fixture, "s", FileType::Socket, (0, 0));
    assert_eq!(error(open(&*fixture.walk("s"), Access::Read)), Some(Errno::NXIO));
}

#[test]
fn block_devices_are_not_there_for_the_stock_server() {
    let fixture = Fixture::stock();
    make(&fixture, "b", FileType::BlockDevice, (7, 0));
    assert_eq!(error(fixture.root.walk(name("b"))), Some(Errno::PERM));
    let mut names = [name("b")].into_iter();
    assert_eq!(fixture.root.walk_stat(&mut names, &mut |_| panic!("visited")), Err(Error::PERM));
    let fs = HostFs::open(&fixture.path("b"), HostOptions::default()).unwrap();
    assert_eq!(error(fs.attach()), Some(Errno::PERM));

    let options = HostOptions { special: SpecialFiles::Create, ..HostOptions::default() };
    let root = HostFs::open(fixture.dir.path(), options).unwrap().attach().ok().unwrap().root.file;
    let device = root.walk(name("b")).ok().unwrap();
    assert_eq!((device.stat.rdev_major, device.stat.rdev_minor), (7, 0));
    assert_eq!(error(open(&*device.file, Access::Read)), Some(Errno::PERM));
}
