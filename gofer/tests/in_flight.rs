//! The kernel lets a user have only so many descriptors on their way to somebody.

use std::os::fd::AsFd;
use std::sync::Arc;

use gofer::hostfs::{HostFs, HostOptions};
use lisafs::backend::Errno;
use lisafs::transport::FdSocket;
use lisafs::wire::Pad;
use lisafs::wire::message::OpenAtReq;
use rustix::process::{Gid, Resource, Rlimit, Uid, getrlimit, setrlimit};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

use common::client::Pathway;

#[allow(dead_code, reason = "shared with other tests, which use all of it")]
#[path = "../lisafs/tests/common/mod.rs"]
mod common;

/// Somebody who has no other descriptors on their way.
const USER: u32 = 4243;

/// Makes this thread, and those that it starts, an ordinary user's. The right to exceed the limit goes with that.
fn become_user() {
    set_thread_groups(&[]).unwrap();
    let (uid, gid) = (Uid::from_raw(USER), Gid::from_raw(USER));
    set_thread_res_gid(gid, gid, gid).unwrap();
    set_thread_res_uid(uid, uid, uid).unwrap();
}

/// One test, since the limit is one for the whole process.
#[test]
fn an_answer_goes_without_a_descriptor_that_the_kernel_refuses() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("f"), "data").unwrap();
    std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    // The directory is still this thread's to remove.
    std::thread::scope(|scope| {
        scope.spawn(|| as_user(dir.path())).join().unwrap();
    });
}

fn as_user(dir: &std::path::Path) {
    become_user();
    let (mut client, _connection) = common::serve(Arc::new(HostFs::open(dir, HostOptions::default()).unwrap()));
    let root = client.mount();
    let file = client.reach(root, &[b"f"]);
    let mut channel = client.channel().unwrap();

    setrlimit(Resource::Nofile, Rlimit { current: Some(100), ..getrlimit(Resource::Nofile) }).unwrap();
    let (one, _other) = FdSocket::pair().unwrap();
    let refused = (0..1000).find_map(|_| one.send(one.as_fd()).err());
    assert_eq!(refused, Some(Errno::TOOMANYREFS));

    let through: [&mut dyn Pathway; 2] = [&mut client, &mut channel];
    for pathway in through {
        let request = common::client::encode(&OpenAtReq { fd: file, flags: 0, pad: Pad });
        let answer = pathway.raw(7, &request).unwrap();
        assert!(answer.fds.is_empty());
    }
    let open = client.open(file, libc::O_RDONLY).unwrap();
    assert_eq!(client.read(open, 0, 10).unwrap(), b"data");
}
