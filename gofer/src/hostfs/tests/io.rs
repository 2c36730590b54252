//! Opening, reading and writing.

use std::os::fd::AsFd;

use rustix::fs::{OFlags, fcntl_getfl};

use super::*;
use lisafs::backend::{AllocateFlags, Error, IoSource, IoTarget, OpenFile};

fn read(file: &dyn OpenFile, offset: u64) -> Result<Vec<u8>> {
    let mut bytes = [0; 64];
    let len = file.read_at(IoTarget::from(&mut bytes[..]), offset)?;
    Ok(bytes[..len].to_vec())
}

#[test]
fn data_is_read_and_written_where_it_should() {
    let fixture = Fixture::stock();
    let path = fixture.write("f", "0123456789");
    let opened = open(&*fixture.walk("f"), Access::ReadWrite).ok().unwrap();
    let file = &*opened.file;
    assert_eq!(read(file, 7), Ok(b"789".to_vec()));
    assert_eq!(read(file, 10), Ok(vec![]));
    assert_eq!(file.write_at(IoSource::from(&b"abc"[..]), 9), Ok(3));
    assert_eq!(file.write_at(IoSource::from(&b""[..]), 0), Ok(0));
    assert_eq!(std::fs::read(&path).unwrap(), b"012345678abc");
    assert_eq!(file.stat().unwrap().size, 12);
    assert_eq!(file.sync(), Ok(()));
    assert_eq!(file.allocate(AllocateFlags::empty(), 0, 100), Ok(()));
    assert_eq!(file.stat().unwrap().size, 100);
    assert_eq!(file.allocate(AllocateFlags::from_bits_retain(1 << 31), 0, 1), Err(Error::OPNOTSUPP));
    assert_eq!(read(file, u64::MAX), Err(Error::INVAL));
    assert_eq!(file.write_at(IoSource::from(&b"abc"[..]), u64::MAX), Err(Error::INVAL));
    assert_eq!(error(file.read_dir(0, &mut Refuse)), Some(Errno::NOTDIR));
}

struct Refuse;

impl lisafs::backend::DirSink for Refuse {
    fn add(&mut self, _: &lisafs::backend::DirEntry<'_>) -> bool {
        false
    }
}

#[test]
fn the_access_mode_is_kept_and_donated() {
    let fixture = Fixture::stock();
    fixture.write("f", "content");
    let file = fixture.walk("f");
    for (access, flags) in
        [(Access::Read, OFlags::RDONLY), (Access::Write, OFlags::WRONLY), (Access::ReadWrite, OFlags::RDWR)]
    {
        let opened = open(&*file, access).ok().unwrap();
        assert_eq!(read(&*opened.file, 0).is_ok(), access.reads());
        assert_eq!(opened.file.write_at(IoSource::from(&b"c"[..]), 0).is_ok(), access.writes());
        let donated = opened.donated.unwrap();
        assert_eq!(fcntl_getfl(donated.as_fd()).unwrap() & OFlags::ACCMODE, flags);
        assert!(rustix::io::fcntl_getfd(&donated).unwrap().contains(rustix::io::FdFlags::CLOEXEC));
    }
}

#[test]
fn truncation_happens_only_if_asked() {
    let fixture = Fixture::stock();
    let path = fixture.write("f", "content");
    let file = fixture.walk("f");
    assert!(open(&*file, Access::Write).is_ok());
    assert_eq!(std::fs::read(&path).unwrap(), b"content");
    assert!(file.open(OpenHow::new(Access::Read).truncate(true)).is_ok());
    assert_eq!(std::fs::read(&path).unwrap(), b"");
}

#[test]
fn directories_are_opened_for_reading_only() {
    let fixture = Fixture::stock();
    let opened = open(&*fixture.root, Access::Read).ok().unwrap();
    assert!(opened.donated.is_none());
    assert_eq!(opened.file.sync(), Ok(()));
    assert_eq!(opened.file.stat().unwrap().ino, fixture.root.stat().unwrap().ino);
    assert_eq!(read(&*opened.file, 0), Err(Error::OPNOTSUPP));
    assert_eq!(error(open(&*fixture.root, Access::ReadWrite)), Some(Errno::ISDIR));
    assert_eq!(error(fixture.root.open(OpenHow::new(Access::Read).truncate(true))), Some(Errno::ISDIR));
}

#[test]
fn donation_follows_the_options() {
    let fixture = Fixture::new(HostOptions { donate_files: false, donate_root: true, ..HostOptions::default() });
    fixture.write("f", "");
    std::fs::create_dir(fixture.path("d")).unwrap();
    assert!(open(&*fixture.walk("f"), Access::Read).ok().unwrap().donated.is_none());
    assert!(fixture.root.create(name("g"), &own(0o600), Access::Read).ok().unwrap().opened.donated.is_none());
    assert!(open(&*fixture.walk("d"), Access::Read).ok().unwrap().donated.is_none());
    let attachment = fixture.fs.attach().ok().unwrap();
    let donated = [attachment.donated, open(&*attachment.root.file, Access::Read).ok().unwrap().donated];
    for fd in donated {
        // Not only a handle: the client changes the mode of the directory through it.
        assert_eq!(fcntl_getfl(fd.unwrap()).unwrap() & OFlags::PATH, OFlags::empty());
    }
    assert!(Fixture::stock().fs.attach().ok().unwrap().donated.is_none());
}

#[test]
fn a_single_file_can_be_the_root() {
    let fixture = Fixture::stock();
    let path = fixture.write("f", "content");
    let options = HostOptions { donate_files: false, donate_root: true, ..HostOptions::default() };
    let attachment = HostFs::open(&path, options).unwrap().attach().ok().unwrap();
    assert_eq!(attachment.root.stat.size, 7);
    assert!(attachment.donated.is_some());
    let opened = open(&*attachment.root.file, Access::ReadWrite).ok().unwrap();
    assert_eq!(read(&*opened.file, 0), Ok(b"content".to_vec()));
    assert!(opened.donated.is_some());
}

#[test]
fn the_backend_asks_for_no_locks() {
    let options = Fixture::new(HostOptions { read_only: true, max_fds: 77, ..HostOptions::default() }).fs.options();
    assert!(options.read_only && options.walk_stat && !options.tree_locks);
    assert_eq!(options.max_fds, 77);
}
