//! What the file system makes of a server's answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use fusebridge::fs::caller::Caller;
use fusebridge::fs::identity::NodeId;
use fusebridge::fs::{Access, Bridge, IoMode, Owners, Policy};
use lisafs::Errno;
use lisafs::wire::message::{MkdirAtResp, OpenAtResp};
use lisafs::wire::{FdId, MessageId, WalkStatus};

#[path = "../../gofer/lisafs/tests/support/mod.rs"]
mod support;

use support::{ROOT, Reply, Request, Server, Setup, connect, inode, listing, walked};

/// A file system of a server with `script`.
fn bridge(script: impl Fn(&Request) -> Option<Reply> + Send + Sync + 'static) -> (Bridge, Server) {
    let policy = Policy {
        access: Access::Shared,
        io: IoMode::Rpc,
        xattr: true,
        no_atime: false,
        ttl: None,
        max_nodes: 100,
        max_open: 100,
        owners: Owners::default(),
    };
    let (client, root, server) = connect(Setup::default(), script).unwrap();
    (Bridge::new(Arc::new(client), &root.inode, policy), server)
}

const CALLER: Caller = Caller { uid: 1000, gid: 1000, umask: 0, pid: 0 };

/// The entries that were found before are not lost with their lookups, which the kernel would never take back.
#[test]
fn an_error_in_a_listing_shows_behind_what_was_listed() {
    let is_first = AtomicBool::new(true);
    let (bridge, _server) = bridge(move |request| match request.id {
        MessageId::OPEN_AT => Some(Reply::of(request.id, &OpenAtResp { open_fd: FdId(7) })),
        MessageId::GETDENTS64 if is_first.swap(false, Ordering::Relaxed) => {
            Some(Reply::Message(request.id, listing(&[b"1", b"2"]), Vec::new()))
        }
        MessageId::GETDENTS64 => Some(Reply::error(libc::EIO.unsigned_abs())),
        _ => None,
    });
    let handle = bridge.open(NodeId::ROOT, 0).unwrap();
    let mut names = Vec::new();
    let mut list = |offset| {
        bridge.list(NodeId::ROOT, &handle, offset, |entries, _| {
            names.push(entries[0].name.to_vec());
            Ok(true)
        })
    };
    assert_eq!(list(0), Ok(()));
    assert_eq!(list(4), Err(Errno::IO));
    assert_eq!(names, [&b"."[..], b"..", b"1", b"2"]);
}

/// The kernel looks again after that answer: at a directory, or where a link leads.
#[test]
fn what_is_suddenly_there_instead_of_a_new_file_is_not_opened_unless_it_is_a_file() {
    for mode in [0o120_777, 0o40_755] {
        let (bridge, server) = bridge(move |request| match request.id {
            MessageId::OPEN_CREATE_AT => Some(Reply::error(libc::EEXIST.unsigned_abs())),
            MessageId::WALK => Some(walked(WalkStatus::Success as u8, &[inode(FdId(7), mode)])),
            MessageId::OPEN_AT => panic!("{mode:o} is opened"),
            _ => None,
        });
        let created = bridge.create(NodeId::ROOT, b"name", 0o644, 1, CALLER);
        assert_eq!(created.map(drop), Err(Errno::STALE));
        server.wait_for_closed(&[FdId(7)]);
    }
}

#[test]
fn a_new_directory_is_there_even_if_its_mode_cannot_be_set() {
    let (bridge, server) = bridge(|request| match request.id {
        MessageId::MKDIR_AT => Some(Reply::of(request.id, &MkdirAtResp { child: inode(FdId(7), 0o40_755) })),
        MessageId::SET_STAT => Some(Reply::error(libc::EPERM.unsigned_abs())),
        _ => None,
    });
    let made = bridge.mkdir(NodeId::ROOT, b"name", 0o42_755, CALLER).unwrap();
    assert_eq!(made.stat.mode, 0o40_755);
    bridge.forget(made.id, 1);
    server.wait_for_closed(&[FdId(7)]);
    assert_ne!(server.closed(), [ROOT]);
}
