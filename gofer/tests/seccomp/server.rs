//! Whole servers under the filter, and clients outside.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Child;
use std::sync::Arc;

use gofer::extension::Extension;
use gofer::extensions::memfs::{MemExtension, MemFs, MemOptions};
use gofer::hostfs::{HostFs, HostOptions, SpecialFiles, UdsPolicy};
use gofer::seccomp::{Needs, install, merge, stock};
use lisafs::backend::{Backend, Errno, Options};
use lisafs::server::Server;
use lisafs::wire::message::*;
use lisafs::wire::{CreateCommon, FdArray, FdId, MessageId, NO_ID, Pad, StatxMask, Timespec};

use super::common::client::{Client, Pathway, common};
use super::common::mem::Mem;
use super::common::{socket_pair, until};
use super::{part, play, stdin};

/// Serves the client at the standard input until it goes, from the moment when the filter is installed.
fn serve(backend: Arc<dyn Backend>, needs: Needs) -> ! {
    let server = Server::held();
    let connection = server.connect(stdin(), b"/", backend).unwrap();
    // Memory needs no more than the stock backend.
    install(&merge(&stock(needs), &[MemExtension.system_calls()])).unwrap();
    server.release();
    connection.wait();
    std::process::exit(0);
}

fn serve_host(dir: &str, options: HostOptions, lisafs: bool) -> ! {
    rustix::process::umask(rustix::fs::Mode::empty());
    let host_uds = options.host_uds;
    serve(Arc::new(HostFs::open(Path::new(dir), options).unwrap()), Needs::new(lisafs, host_uds))
}

/// A client of a server in another process.
fn client_of(test: &str, part: &str) -> (Client, Child) {
    let (ours, theirs) = socket_pair();
    (Client::new(ours), play(test, part, theirs))
}

/// Lets the client go; the server must end by itself, and well.
fn ends_well(client: Client, mut server: Child) {
    drop(client);
    let status = server.wait().unwrap();
    assert!(status.success(), "{status}");
}

/// Every message that is about files.
fn use_files(through: &mut impl Pathway, round: &str) {
    let root = through.mount();
    let dir = through.mkdir(root, round.as_bytes()).unwrap();
    let (file, open) = through.create(dir, b"file", 0o4644).unwrap();
    let data = vec![7; 300_000];
    assert_eq!(through.write(open, 5, &data), Ok(300_000));
    assert_eq!(through.read(open, 5, 300_000), Ok(data));
    through.call(&FSyncReq { fds: FdArray::new(&[open]).unwrap() }).unwrap();
    through.call(&FAllocateReq { fd: open, mode: 0, offset: 0, length: 500_000 }).unwrap();
    let _ = through.call(&FlushReq { fd: open });
    let stat = through.stat(file.control_fd).unwrap();
    assert_eq!((stat.size, stat.mode), (500_000, 0o104_644));

    let set = SetStatReq {
        fd: file.control_fd,
        mask: StatxMask::SIZE | StatxMask::MODE | StatxMask::UID | StatxMask::GID | StatxMask::ATIME | StatxMask::MTIME,
        mode: 0o600,
        uid: 1,
        gid: 2,
        size: 3,
        atime: Timespec { sec: 4, nsec: 5 },
        mtime: Timespec { sec: 6, nsec: 7 },
    };
    let answer = through.call(&set).unwrap();
    assert!(answer.decode::<SetStatResp>().failure_mask.is_empty());
    assert_eq!(through.read(open, 0, 100).unwrap(), [0; 3]);

    through.link(dir, b"link", file.control_fd).unwrap();
    through.call(&SymlinkAtReq { dir, uid: 1, gid: NO_ID, name: b"symlink", target: b"file" }).unwrap();
    let symlink = through.reach(dir, &[b"symlink"]);
    let answer = through.call(&ReadLinkAtReq { fd: symlink }).unwrap();
    assert_eq!(answer.decode::<ReadLinkAtResp<'_>>().target, b"file");
    let fifo = MknodAtReq { common: common(dir, 0o010_644), minor: 0, major: 0, name: b"fifo" };
    through.call(&fifo).unwrap();
    let fifo = through.reach(dir, &[b"fifo"]);
    // Not with files in memory, whose FIFOs are the client's own business.
    assert!(matches!(through.open(fifo, libc::O_RDONLY), Ok(_) | Err(Errno::PERM)));

    use_attributes(through, file.control_fd);
    through.call(&FStatFsReq { fd: root }).unwrap();
    assert_eq!(through.walk_stat(root, &[round.as_bytes(), b"file"]).unwrap().len(), 2);
    assert_eq!(through.walk(root, &[b"nope"]).unwrap().1.len(), 0);

    through.rename((dir, b"link"), (root, b"moved")).unwrap();
    through.rename2((root, b"moved"), (dir, b"file"), libc::RENAME_EXCHANGE).unwrap();
    through.rename2((root, b"moved"), (dir, b"moved"), libc::RENAME_NOREPLACE).unwrap();
    let listed = through.open(dir, libc::O_RDONLY).unwrap();
    assert_eq!(through.list(listed, 4096).unwrap().0.len(), 4);
    assert_eq!(through.list(listed, -4096).unwrap().0.len(), 4);
    for name in [&b"file"[..], b"moved", b"symlink", b"fifo"] {
        through.unlink(dir, name).unwrap();
    }
    through.rmdir(root, round.as_bytes()).unwrap();
    through.close(&[listed, open, symlink, fifo, file.control_fd, dir]);
    // Errors.
    through.stat(FdId(9999)).unwrap_err();
    through.mkdir(FdId(9999), b"x").unwrap_err();
}

/// Extended attributes, if the file system has some.
fn use_attributes(through: &mut impl Pathway, fd: FdId) {
    match through.call(&FSetXattrReq { fd, flags: 0, name: b"user.a", value: b"1" }) {
        Err(Errno::OPNOTSUPP) => eprintln!("skipped setting extended attributes, because there are none here"),
        result => drop(result.unwrap()),
    }
    let _ = through.call(&FGetXattrReq { fd, buf_size: 0, name: b"user.a" });
    let _ = through.call(&FListXattrReq { fd, size: 0 });
    let _ = through.call(&FRemoveXattrReq { fd, name: b"user.a" });
}

/// Every message that is about sockets.
fn use_sockets(through: &mut impl Pathway, name: &str) {
    let root = through.mount();
    let mut connect_to = None;
    for sock_type in [libc::SOCK_STREAM, libc::SOCK_DGRAM, libc::SOCK_SEQPACKET] {
        let name = format!("{name} {sock_type}");
        let sock_type = sock_type.try_into().unwrap();
        let owner = CreateCommon::new(root, 1, 1, 0o140_777);
        let bind = BindAtReq { common: owner, sock_type, name: name.as_bytes() };
        let bound = through.call(&bind).unwrap().decode::<BindAtResp>();
        through.call(&bind).unwrap_err();
        connect_to.get_or_insert((bound.child.control_fd, bound.bound_socket_fd));
    }
    let (fd, bound) = connect_to.unwrap();
    through.call(&ListenReq { fd: bound, backlog: 5, pad: Pad }).unwrap();
    through.call(&ConnectReq { fd, sock_type: 0, pad: Pad }).unwrap();
    through.call(&ConnectReq { fd, sock_type: 1, pad: Pad }).unwrap();
    through.call(&ConnectWithCredsReq { fd, sock_type: 1, pad: Pad, uid: 1, gid: 1 }).unwrap();
    for _ in 0..3 {
        through.call(&AcceptReq { fd: bound }).unwrap();
    }
    through.call(&AcceptReq { fd: bound }).unwrap_err();
}

#[test]
fn everything_works_under_the_filter() {
    const NAME: &str = "server::everything_works_under_the_filter";
    if let Some(dir) = part() {
        let options = HostOptions::default()
            .special(SpecialFiles::Create)
            .host_uds(UdsPolicy::All)
            .host_fifo(true)
            .char_devices(true);
        serve_host(&dir, options, true);
    }
    let dir = tempfile::tempdir().unwrap();
    let (mut client, server) = client_of(NAME, dir.path().to_str().unwrap());
    use_files(&mut client, "by socket");
    use_sockets(&mut client, "by socket");
    // More than there are places: a channel that has ended leaves its own to the next.
    for round in 0..6 {
        let mut channel = None;
        until("a place for a channel", || {
            channel = client.channel().ok();
            channel.is_some()
        });
        let mut channel = channel.unwrap();
        use_files(&mut channel, "by channel");
        use_sockets(&mut channel, &format!("by channel {round}"));
        channel.channel.shut_down();
    }
    ends_well(client, server);
}

#[test]
fn files_in_memory_work_under_the_filter() {
    const NAME: &str = "server::files_in_memory_work_under_the_filter";
    if part().is_some() {
        let memory = MemFs::new(MemOptions::default()).unwrap();
        serve(Arc::new(memory), Needs::new(true, UdsPolicy::None));
    }
    let (mut client, server) = client_of(NAME, "");
    use_files(&mut client, "by socket");
    let mut channel = client.channel().unwrap();
    use_files(&mut channel, "by channel");
    ends_well(client, server);
}

#[test]
fn a_client_with_directfs_gets_the_help_that_it_needs_and_no_more() {
    const NAME: &str = "server::a_client_with_directfs_gets_the_help_that_it_needs_and_no_more";
    if let Some(dir) = part() {
        serve_host(&dir, HostOptions::default().donate_root(true).host_uds(UdsPolicy::All), false);
    }
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("file"), "content").unwrap();
    let (mut client, mut server) = client_of(NAME, dir.path().to_str().unwrap());
    let answer = client.call(&MountReq {}).unwrap();
    assert_eq!(answer.fds.len(), 1);
    let root = answer.decode::<MountResp<'_>>().root.control_fd;
    let file = client.reach(root, &[b"file"]);
    client.open(root, libc::O_RDONLY).unwrap();
    let open = client.open(file, libc::O_RDWR).unwrap();
    assert_eq!(client.read(open, 0, 100).unwrap(), b"content");
    let time = Timespec { sec: 0, nsec: 0 };
    let mask = StatxMask::MODE | StatxMask::UID;
    let set = SetStatReq { fd: file, mask, mode: 0o600, uid: 1, gid: 0, size: 0, atime: time, mtime: time };
    assert!(client.call(&set).unwrap().decode::<SetStatResp>().failure_mask.is_empty());
    use_attributes(&mut client, file);
    use_sockets(&mut client, "socket");
    // It has no use for a channel.
    assert!(client.exchange(MessageId::CHANNEL.0, &[]).is_err());
    assert_eq!(server.wait().unwrap().signal(), Some(libc::SIGSYS));
}

#[test]
fn a_panic_is_an_error_under_the_filter_too() {
    const NAME: &str = "server::a_panic_is_an_error_under_the_filter_too";
    if part().is_some() {
        serve(Arc::new(Mem::new(Options::default().tree_locks(true))), Needs::new(true, UdsPolicy::None));
    }
    let (mut client, server) = client_of(NAME, "");
    let root = client.mount();
    assert_eq!(client.walk(root, &[b"panic"]).unwrap_err(), Errno::REMOTEIO);
    let mut channel = client.channel().unwrap();
    assert_eq!(channel.walk(root, &[b"panic"]).unwrap_err(), Errno::REMOTEIO);
    assert!(channel.stat(root).is_ok());
    ends_well(client, server);
}

fn shipped_under_the_filter(test: &str, backend: &str) {
    use gofer::extension::Registry;
    if part().is_some() {
        let registry = Registry::new(gofer::extensions::shipped()).unwrap();
        let claim = registry.backends(&HostOptions::default()).open(backend.as_ref()).unwrap();
        let server = Server::held();
        let connection = server.connect_with(stdin(), b"/", claim.backend, claim.options).unwrap();
        let needs = Needs::new(true, UdsPolicy::None);
        install(&merge(&stock(needs), &registry.system_calls())).unwrap();
        server.release();
        connection.wait();
        std::process::exit(0);
    }
    let (mut client, server) = client_of(test, "serve");
    let root = client.mount();
    client.mkdir(root, b"d").unwrap();
    ends_well(client, server);
}

#[cfg(feature = "testing")]
#[test]
fn delays_work_under_the_filter() {
    shipped_under_the_filter("server::delays_work_under_the_filter", "fault:mem:?latency=1ms");
}

#[test]
fn statistics_work_under_the_filter() {
    shipped_under_the_filter("server::statistics_work_under_the_filter", "stats:mem:");
}
