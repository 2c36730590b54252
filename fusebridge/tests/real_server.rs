//! The client and the server of this repository, over a directory of the host.

use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use gofer::hostfs::{HostFs, HostOptions, UdsPolicy};
use lisafs::Errno;
use lisafs::backend::{Mode, SetStat, Unlink};
use lisafs::client::{Client, ClientOptions};
use lisafs::server::{Connection, Server};
use lisafs::wire::{CreateCommon, FdId, MessageId, NO_ID, WalkStatus};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

const READ: u32 = libc::O_RDONLY.unsigned_abs();
const READ_WRITE: u32 = libc::O_RDWR.unsigned_abs();

/// A client of a served directory. Fields are dropped from the top.
struct Fixture {
    client: Client,
    root: FdId,
    connection: Connection,
    directory: tempfile::TempDir,
}

impl Fixture {
    fn new(channels: usize) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let options = HostOptions::default().host_uds(UdsPolicy::All);
        let backend = Arc::new(HostFs::open(directory.path(), options).unwrap());
        let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
        let connection = Server::new().connect(theirs, b"/", backend).unwrap();
        let options = ClientOptions::default().channels(channels);
        let (client, root) = Client::connect(ours, &options).unwrap();
        assert_eq!(client.channels(), channels);
        Fixture { client, root: root.inode.control_fd, connection, directory }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn create(&self, name: &str) -> (FdId, FdId) {
        let (inode, open, _) =
            self.client.open_create_at(new_in(self.root, 0o644), READ_WRITE, name.as_bytes()).unwrap();
        (inode.control_fd, open)
    }
}

fn new_in(dir: FdId, mode: u16) -> CreateCommon {
    CreateCommon::new(dir, NO_ID, NO_ID, mode)
}

/// Over the socket, and over channels.
fn all(test: impl Fn(&Fixture)) {
    [0, 1, 4].into_iter().for_each(|channels| test(&Fixture::new(channels)));
}

#[test]
fn data_goes_to_a_file_and_back() {
    all(|fixture| {
        let client = &fixture.client;
        let (control, open) = fixture.create("file");
        let data: Vec<u8> = (0..5_000_000_u32).map(|at| (at / 7).to_le_bytes()[0]).collect();
        let mut written = 0;
        while written < data.len() {
            written += client.pwrite(open, written as u64, &data[written..]).unwrap();
        }
        client.fsync(&[open]).unwrap();
        assert!(std::fs::read(fixture.path("file")).unwrap() == data);
        let mut read = Vec::new();
        while read.len() < data.len() {
            let part = client.pread(open, read.len() as u64, usize::MAX, |part| part.to_vec()).unwrap();
            assert!(!part.is_empty());
            read.extend(part);
        }
        assert!(read == data);
        assert_eq!(client.pread(open, 1 << 40, 10, |part| part.len()), Ok(0), "the end");

        client.set_stat(control, &SetStat::new().size(3).mode(Mode::new(0o600))).unwrap().unwrap();
        let stat = client.fstat(control).unwrap();
        assert_eq!((stat.size, stat.mode), (3, 0o100_600));
        assert_eq!(client.fstat(open), Ok(stat));
        client.fallocate(open, 0, 0, 100).unwrap();
        assert_eq!(client.fstat(open).unwrap().size, 100);
        assert!(client.fstatfs(control).unwrap().blocks > 0);
        assert_eq!(client.flush(open), Err(Errno::OPNOTSUPP));
        assert!(!client.supports(MessageId::FLUSH));

        client.close_all(&[control, open]);
        client.flush_closes();
        assert_eq!(client.fstat(open), Err(Errno::BADF));
    });
}

#[test]
fn an_opened_file_comes_with_its_descriptor() {
    all(|fixture| {
        std::fs::write(fixture.path("file"), "text").unwrap();
        let file = fixture.client.lookup(fixture.root, b"file").unwrap();
        let (open, donated) = fixture.client.open_at(file.control_fd, READ).unwrap();
        let donated = rustix::fs::fstat(donated.unwrap().as_fd()).unwrap();
        assert_eq!(donated.st_ino, std::fs::metadata(fixture.path("file")).unwrap().ino());
        assert_eq!(fixture.client.pwrite(open, 0, b"x"), Err(Errno::BADF));
    });
}

#[test]
fn names_come_and_go() {
    all(|fixture| {
        let (client, root) = (&fixture.client, fixture.root);
        let dir = client.mkdir_at(new_in(root, 0o755), b"dir").unwrap().control_fd;
        assert_eq!(client.mkdir_at(new_in(root, 0o755), b"dir"), Err(Errno::EXIST));
        let (file, _) = fixture.create("file");
        client.link_at(dir, file, b"link").unwrap();
        assert_eq!(client.fstat(file).unwrap().nlink, 2);
        let symlink = client.symlink_at(dir, NO_ID, NO_ID, b"symlink", b"../file").unwrap();
        assert_eq!(client.read_link_at(symlink.control_fd), Ok(b"../file".to_vec()));

        let (status, inodes) = client.walk(root, &[b"dir", b"link"]).unwrap();
        assert_eq!((status, inodes.len()), (WalkStatus::Success, 2));
        assert_eq!(inodes[1].stat.ino, client.fstat(file).unwrap().ino);
        let (status, inodes) = client.walk(root, &[b"dir", b"missing", b"x"]).unwrap();
        assert_eq!((status, inodes.len()), (WalkStatus::DoesNotExist, 1));
        let (status, inodes) = client.walk(root, &[b"dir", b"symlink", b"x"]).unwrap();
        assert_eq!((status, inodes.len()), (WalkStatus::Symlink, 2));
        assert_eq!(client.walk_stat(root, &[b"", b"dir", b"link"]).unwrap().len(), 3);
        assert_eq!(client.walk_stat(root, &[b"missing"]), Ok(Vec::new()));
        assert_eq!(client.lookup(root, b"missing"), Err(Errno::NOENT));
        assert_eq!(client.lookup(root, &[b'n'; 256]), Err(Errno::NAMETOOLONG));
        assert_eq!(client.lookup(file, b"x"), Err(Errno::NOTDIR));

        client.rename_at(root, b"file", dir, b"moved", 0).unwrap();
        let no_replace = libc::RENAME_NOREPLACE;
        assert_eq!(client.rename_at(dir, b"moved", dir, b"link", no_replace), Err(Errno::EXIST));
        assert_eq!(client.unlink_at(root, b"dir", Unlink::File), Err(Errno::ISDIR));
        assert_eq!(client.unlink_at(root, b"dir", Unlink::Directory), Err(Errno::NOTEMPTY));
        for name in [&b"moved"[..], b"link", b"symlink"] {
            client.unlink_at(dir, name, Unlink::File).unwrap();
        }
        client.unlink_at(root, b"dir", Unlink::Directory).unwrap();
        assert_eq!(std::fs::read_dir(fixture.directory.path()).unwrap().count(), 0);
        assert_eq!(client.fstat(file).unwrap().nlink, 0, "it lives on while it is held");
    });
}

#[test]
fn a_directory_is_listed_to_its_end() {
    all(|fixture| {
        let mut expected: Vec<_> = (0..2000).map(|number| format!("entry-{number:04}").into_bytes()).collect();
        for name in &expected {
            std::fs::write(fixture.path(std::str::from_utf8(name).unwrap()), "").unwrap();
        }
        let (open, _) = fixture.client.open_at(fixture.root, READ).unwrap();
        for count in [-8192, -4096] {
            let mut names = Vec::new();
            let mut next = count;
            while fixture.client.getdents(open, next, &mut |entry| names.push(entry.name.to_vec())).unwrap() > 0 {
                next = count.abs();
            }
            names.sort();
            expected.sort();
            assert_eq!(names, expected);
        }
    });
}

#[test]
fn extended_attributes_come_and_go() {
    all(|fixture| {
        let client = &fixture.client;
        let (file, _) = fixture.create("file");
        match client.set_xattr(file, b"user.one", b"value", 0) {
            Err(Errno::OPNOTSUPP) => return eprintln!("skipped, because the file system has no extended attributes"),
            result => result.unwrap(),
        }
        assert_eq!(client.get_xattr(file, b"user.one", 0), Ok(b"value".to_vec()));
        assert_eq!(client.get_xattr(file, b"user.one", 2), Err(Errno::RANGE));
        assert_eq!(client.get_xattr(file, b"user.two", 0), Err(Errno::NODATA));
        assert!(client.list_xattr(file, 0).unwrap().contains(&b"user.one".to_vec()));
        client.remove_xattr(file, b"user.one").unwrap();
        assert_eq!(client.get_xattr(file, b"user.one", 0), Err(Errno::NODATA));
    });
}

#[test]
fn sockets_are_bound_and_connected() {
    const STREAM: u32 = libc::SOCK_STREAM.unsigned_abs();
    all(|fixture| {
        let client = &fixture.client;
        let (file, bound, _) = client.bind_at(new_in(fixture.root, 0o140_755), STREAM, b"socket").unwrap();
        assert!(std::fs::metadata(fixture.path("socket")).unwrap().file_type().is_socket());
        client.listen(bound, 5).unwrap();
        assert_eq!(client.accept(bound).map(drop), Err(Errno::AGAIN));
        let caller = client.connect_at(file.control_fd, STREAM).unwrap();
        let callee = client.accept(bound).unwrap();
        rustix::io::write(&caller, b"hello").unwrap();
        let mut heard = [0; 5];
        assert_eq!(rustix::io::read(&callee, &mut heard), Ok(5));
        assert_eq!(&heard, b"hello");
    });
}

#[test]
fn many_callers_do_not_disturb_each_other() {
    let fixture = Fixture::new(2);
    std::thread::scope(|scope| {
        for caller in 0..8_u8 {
            let fixture = &fixture;
            scope.spawn(move || {
                let client = &fixture.client;
                for round in 0..50 {
                    let name = format!("file-{caller}-{round}");
                    let (control, open) = fixture.create(&name);
                    let data = vec![caller; 10_000 + round];
                    assert_eq!(client.pwrite(open, 0, &data), Ok(data.len()));
                    let found = client.lookup(fixture.root, name.as_bytes()).unwrap();
                    assert_eq!(found.stat.size, data.len() as u64);
                    assert_eq!(client.pread(open, 0, 1 << 20, |read| read.to_vec()), Ok(data));
                    client.unlink_at(fixture.root, name.as_bytes(), Unlink::File).unwrap();
                    client.close_all(&[control, open, found.control_fd]);
                }
            });
        }
    });
    assert_eq!(std::fs::read_dir(fixture.directory.path()).unwrap().count(), 0);
}

#[test]
fn the_end_of_the_server_is_noticed() {
    let fixture = Fixture::new(2);
    let (sender, receiver) = channel();
    fixture.client.on_death(move || sender.send(()).unwrap());
    fixture.connection.shut_down();
    receiver.recv_timeout(Duration::from_secs(20)).unwrap();
    assert!(fixture.client.is_dead());
    assert_eq!(fixture.client.fstat(fixture.root), Err(Errno::IO));
    fixture.connection.wait();
}

#[test]
fn the_end_of_the_client_is_noticed() {
    let Fixture { client, connection, directory: _directory, .. } = Fixture::new(4);
    assert!(!connection.has_ended());
    drop(client);
    connection.wait();
}
