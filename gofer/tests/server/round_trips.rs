//! Each kind of request through `gofer serve` once, with what a sandbox relies on in its answer: the rules by which
//! gVisor tests its own servers.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Child, Command};

use lisafs::backend::{Errno, Mode, SetStat, Timespec, Unlink};
use lisafs::client::{Client, ClientOptions};
use lisafs::wire::{CreateCommon, FdId, FileType, Inode};
use rustix::fs::{CWD, mknodat};
use rustix::process::{getgid, getuid};
use tempfile::TempDir;

/// The mode of a regular file that everybody may do anything with.
const REGULAR: u16 = 0o100_777;

/// A directory that is served to one client.
struct Scene {
    dir: TempDir,
    /// There until the end.
    client: Option<Client>,
    root: FdId,
    server: Child,
}

impl Scene {
    fn new(flags: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut server = Command::new(env!("CARGO_BIN_EXE_gofer"));
        server.args(["serve", "--fd", "0"]).args(flags).arg(dir.path()).stdin(OwnedFd::from(theirs));
        let server = server.spawn().unwrap();
        let (client, root) = Client::connect(ours.into(), &ClientOptions::default()).unwrap();
        Scene { dir, client: Some(client), root: root.inode.control_fd, server }
    }

    fn client(&self) -> &Client {
        self.client.as_ref().unwrap()
    }

    /// A new file in `dir`, which belongs to us.
    fn new_in(&self, dir: FdId, mode: u16) -> CreateCommon {
        CreateCommon::new(dir, getuid().as_raw(), getgid().as_raw(), mode)
    }

    /// Makes a file and opens it for reading and writing.
    fn create(&self, name: &str) -> (Inode, FdId, OwnedFd) {
        let new = self.new_in(self.root, 0o777);
        let (inode, open, donated) = self.client().open_create_at(new, libc::O_RDWR as u32, name.as_bytes()).unwrap();
        (inode, open, donated.expect("a descriptor of the host"))
    }

    fn mkdir(&self, dir: FdId, name: &str) -> Inode {
        self.client().mkdir_at(self.new_in(dir, 0o777), name.as_bytes()).unwrap()
    }

    fn look_up(&self, name: &str) -> Result<FdId, Errno> {
        self.client().lookup(self.root, name.as_bytes()).map(|inode| inode.control_fd)
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.client = None;
        let status = self.server.wait().unwrap();
        assert!(status.success() || std::thread::panicking(), "{status}");
    }
}

fn scene() -> Scene {
    Scene::new(&["--host-uds=create"])
}

#[test]
fn the_root_is_a_directory() {
    let scene = scene();
    assert_eq!(scene.client().fstat(scene.root).unwrap().file_type(), Some(FileType::Directory));
}

#[test]
fn data_is_what_was_written() {
    let scene = scene();
    let (_, open, donated) = scene.create("file");
    let data: Vec<u8> = (0..2 << 20).map(|at: u32| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let mut at = 0;
    while at < data.len() {
        at += scene.client().pwrite(open, at as u64, &data[at..]).unwrap();
    }
    for from in [0, 50] {
        let mut read = Vec::new();
        while from + read.len() < data.len() {
            let (offset, rest) = ((from + read.len()) as u64, data.len() - from - read.len());
            let count = rest.min(scene.client().max_read());
            read.extend(scene.client().pread(open, offset, count, |part| part.to_vec()).unwrap());
        }
        assert!(read == data[from..], "from {from}");
    }
    let mut below = vec![0; data.len()];
    std::fs::File::from(donated).read_exact_at(&mut below, 0).unwrap();
    assert!(below == data, "the descriptor shows something else");
    scene.client().fsync(&[open]).unwrap();
}

#[test]
fn what_is_open_for_reading_is_not_written() {
    let scene = scene();
    let (inode, ..) = scene.create("file");
    let (open, donated) = scene.client().open_at(inode.control_fd, libc::O_RDONLY as u32).unwrap();
    assert!(donated.is_some());
    assert_eq!(scene.client().pwrite(open, 0, &[1, 2, 3]), Err(Errno::BADF));
}

#[test]
fn all_attributes_are_set_at_once() {
    let scene = scene();
    let (inode, ..) = scene.create("file");
    let mut change = SetStat::default();
    change.mode = Some(Mode::new(0o760));
    (change.uid, change.gid) = (Some(getuid().as_raw()), Some(getgid().as_raw()));
    change.size = Some(50);
    (change.atime, change.mtime) =
        (Some(Timespec { sec: 1_700_000_001, nsec: 7 }), Some(Timespec { sec: 1_700_000_000, nsec: 8 }));
    scene.client().set_stat(inode.control_fd, &change).unwrap().unwrap();
    let stat = scene.client().fstat(inode.control_fd).unwrap();
    assert_eq!((stat.mode, stat.size), (0o100_760, 50));
    assert_eq!((stat.uid, stat.gid), (getuid().as_raw(), getgid().as_raw()));
    assert_eq!((stat.atime.sec, stat.atime.nsec), (1_700_000_001, 7));
    assert_eq!((stat.mtime.sec, stat.mtime.nsec), (1_700_000_000, 8));
}

#[test]
fn allocated_space_makes_a_file_longer() {
    let scene = scene();
    let (_, open, _) = scene.create("file");
    for (offset, length) in [(0, 40), (20, 100)] {
        scene.client().fallocate(open, 0, offset, length).unwrap();
        assert_eq!(scene.client().fstat(open).unwrap().size, offset + length);
    }
}

#[test]
fn a_file_system_has_statistics() {
    let scene = scene();
    let stat = scene.client().fstatfs(scene.root).unwrap();
    assert!(stat.block_size > 0 && stat.name_length > 0, "{stat:?}");
}

#[test]
fn a_removed_file_is_not_found() {
    let scene = scene();
    scene.create("file");
    scene.client().unlink_at(scene.root, b"file", Unlink::File).unwrap();
    let (_, inodes) = scene.client().walk(scene.root, &[b"file"]).unwrap();
    assert!(inodes.is_empty());
}

#[test]
fn a_symbolic_link_leads_where_it_was_made_to() {
    let scene = scene();
    let target = b"/tmp/some/path";
    let (uid, gid) = (getuid().as_raw(), getgid().as_raw());
    let link = scene.client().symlink_at(scene.root, uid, gid, b"link", target).unwrap();
    assert_eq!(link.stat.file_type(), Some(FileType::Symlink));
    assert_eq!(scene.client().read_link_at(link.control_fd).unwrap(), target);
}

#[test]
fn hard_links_are_one_file() {
    let scene = scene();
    let (file, ..) = scene.create("file");
    let link = scene.client().link_at(scene.root, file.control_fd, b"link").unwrap();
    let identity = |inode: &Inode| (inode.stat.ino, inode.stat.dev_major, inode.stat.dev_minor);
    assert_eq!(identity(&link), identity(&file));
}

#[test]
fn a_walk_ends_where_nothing_is() {
    let scene = scene();
    let names: Vec<String> = (0..10).map(|level| format!("directory-{level}")).collect();
    names.iter().fold(scene.root, |dir, name| scene.mkdir(dir, name).control_fd);
    let mut path: Vec<&[u8]> = names.iter().map(String::as_bytes).collect();
    path.extend([&b"a"[..], b"b", b"c"]);
    let (_, inodes) = scene.client().walk(scene.root, &path).unwrap();
    assert_eq!(inodes.len(), names.len());

    // An empty name at first stands for where the walk begins.
    path.insert(0, b"");
    let stats = scene.client().walk_stat(scene.root, &path).unwrap();
    let root = scene.client().fstat(scene.root).unwrap();
    let expected: Vec<_> = std::iter::once(root.ino).chain(inodes.iter().map(|inode| inode.stat.ino)).collect();
    assert_eq!(stats.iter().map(|stat| stat.ino).collect::<Vec<_>>(), expected);
    for (stat, inode) in stats[1..].iter().zip(&inodes) {
        assert_eq!((stat.mode, stat.nlink, stat.mtime), (inode.stat.mode, inode.stat.nlink, inode.stat.mtime));
    }
}

#[test]
fn a_file_moves_into_another_directory() {
    let scene = scene();
    scene.create("file");
    let dir = scene.mkdir(scene.root, "directory").control_fd;
    scene.client().rename_at(scene.root, b"file", dir, b"moved", 0).unwrap();
    assert_eq!(scene.client().walk_stat(scene.root, &[b"directory", b"moved"]).unwrap().len(), 2);
    assert_eq!(scene.look_up("file"), Err(Errno::NOENT));
}

#[test]
fn a_made_file_is_as_its_answer_says() {
    let scene = scene();
    let new = scene.new_in(scene.root, REGULAR);
    let made = scene.client().mknod_at(new, 0, 0, b"file").unwrap();
    assert_eq!((made.stat.mode, made.stat.uid, made.stat.gid), (0o100_777, getuid().as_raw(), getgid().as_raw()));
    let stat = scene.client().fstat(made.control_fd).unwrap();
    assert_eq!((stat.mode, stat.uid, stat.gid), (made.stat.mode, made.stat.uid, made.stat.gid));
}

#[test]
fn a_bound_socket_takes_connections() {
    let scene = scene();
    let new = scene.new_in(scene.root, 0o777);
    let (file, bound, _socket) = scene.client().bind_at(new, libc::SOCK_STREAM as u32, b"socket").unwrap();
    assert_eq!((file.stat.mode, file.stat.uid), (0o140_777, getuid().as_raw()));
    let stat = scene.client().fstat(file.control_fd).unwrap();
    assert_eq!((stat.mode, stat.uid, stat.gid), (file.stat.mode, file.stat.uid, file.stat.gid));
    scene.client().listen(bound, 1).unwrap();
    assert_eq!(scene.client().accept(bound).unwrap_err(), Errno::AGAIN);
    let mut caller = UnixStream::connect(scene.dir.path().join("socket")).unwrap();
    let mut taken = UnixStream::from(scene.client().accept(bound).unwrap());
    taken.set_nonblocking(false).unwrap();
    caller.write_all(b"x").unwrap();
    taken.read_exact(&mut [0]).unwrap();
}

#[test]
fn a_listing_in_small_pieces_has_every_name_once() {
    let scene = scene();
    let dir = scene.mkdir(scene.root, "directory").control_fd;
    let mut made = BTreeSet::new();
    for number in 0..10 {
        let name = format!("file-{number}");
        let new = scene.new_in(dir, REGULAR);
        let inode = scene.client().mknod_at(new, 0, 0, name.as_bytes()).unwrap();
        made.insert((name.into_bytes(), inode.stat.ino, libc::DT_REG));
    }
    let (open, _) = scene.client().open_at(dir, libc::O_RDONLY as u32).unwrap();
    let mut listed = Vec::new();
    // Room for one at a time.
    while scene
        .client()
        .getdents(open, 40, &mut |entry| listed.push((entry.name.to_vec(), entry.ino, entry.kind)))
        .unwrap()
        > 0
    {}
    listed.retain(|(name, ..)| !name.starts_with(b"."));
    assert_eq!(listed.len(), made.len());
    assert_eq!(listed.into_iter().collect::<BTreeSet<_>>(), made);
}

#[test]
fn sockets_are_used_as_the_policy_says() {
    for (policy, can_connect, can_bind) in
        [("none", false, false), ("open", true, false), ("create", false, true), ("all", true, true)]
    {
        let scene = Scene::new(&["--host-uds", policy]);
        let _listener = UnixListener::bind(scene.dir.path().join("listens")).unwrap();
        let socket = scene.look_up("listens").unwrap();
        let kind = libc::SOCK_STREAM as u32;
        let refused = |can: bool| if can { None } else { Some(Errno::PERM) };
        assert_eq!(scene.client().connect_at(socket, kind).err(), refused(can_connect), "{policy}");
        let bound = scene.client().bind_at(scene.new_in(scene.root, 0o777), kind, b"new");
        assert_eq!(bound.err(), refused(can_bind), "{policy}");
    }
}

#[test]
fn special_files_are_opened_as_the_policies_say() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: making device nodes needs root");
        return;
    }
    for (flags, fifo, device) in [
        (&[][..], false, false),
        (&["--host-fifo=open"], true, false),
        (&["--character-device-policy=passthrough"], false, true),
        (&["--character-device-policy=prefer-emulated"], false, true),
    ] {
        let scene = Scene::new(flags);
        let make = |name: &str, kind, device| {
            mknodat(CWD, scene.dir.path().join(name), kind, rustix::fs::Mode::RWXU, device).unwrap();
            scene.look_up(name).unwrap()
        };
        let pipe = make("fifo", rustix::fs::FileType::Fifo, 0);
        let null = make("null", rustix::fs::FileType::CharacterDevice, rustix::fs::makedev(1, 3));
        for (file, can) in [(pipe, fifo), (null, device)] {
            let opened = scene.client().open_at(file, libc::O_RDONLY as u32);
            assert_eq!(opened.as_ref().err(), if can { None } else { Some(&Errno::PERM) }, "{flags:?}");
            assert!(!can || opened.unwrap().1.is_some(), "{flags:?}");
        }
    }
}
