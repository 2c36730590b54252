//! Mounts in which files have other owners. runsc makes them.

use std::fs::{self, File};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::fs::CWD;
use rustix::mount::{OpenTreeFlags, open_tree};
use serde_json::json;

use crate::caller::Call;
use crate::common::client::Pathway;
use crate::common::until;

/// Who owns the files on the host, and is root in the mount.
const OWNER: u32 = 1000;

/// A user namespace that has `OWNER` for its only user, who is root outside.
fn namespace() -> OwnedFd {
    let mut holder = Command::new("unshare").args(["--user", "cat"]).stdin(Stdio::piped()).spawn().unwrap();
    let of = |file: &str| format!("/proc/{}/{file}", holder.id());
    let own = fs::read_link("/proc/self/ns/user").unwrap();
    until("a namespace", || fs::read_link(of("ns/user")).is_ok_and(|other| other != own));
    for map in ["uid_map", "gid_map"] {
        fs::write(of(map), format!("{OWNER} 0 1")).unwrap();
    }
    let namespace = File::open(of("ns/user")).unwrap();
    drop(holder.stdin.take());
    holder.wait().unwrap();
    namespace.into()
}

/// What runsc makes of `source`.
fn mapped(source: &Path) -> OwnedFd {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
    let tree = open_tree(CWD, source, flags).unwrap();
    let namespace = namespace();
    let attributes = libc::mount_attr {
        attr_set: libc::MOUNT_ATTR_IDMAP,
        attr_clr: 0,
        propagation: 0,
        userns_fd: namespace.as_raw_fd().try_into().unwrap(),
    };
    // SAFETY: the path is a C string, the structure is as large as is said, and the kernel only reads both.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            tree.as_fd().as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
    tree
}

#[test]
fn owners_are_those_of_the_mount() {
    let mut call = Call::new();
    let volume = call.dir.path().join("volume");
    for file in [&volume, &volume.join("in-volume")] {
        chown(file, Some(OWNER), Some(OWNER)).unwrap();
    }
    let map = json!([{"containerID": OWNER, "hostID": 0, "size": 1}]);
    call.spec["mounts"][1]["uidMappings"] = map.clone();
    call.spec["mounts"][1]["gidMappings"] = map.clone();
    let mut running = call.go();
    let asked = running.question()["arg"]["Mount"].take();
    assert_eq!((&asked["source"], &asked["uidMappings"]), (&json!(volume), &map));
    running.answer(mapped(&volume));
    assert_eq!(running.mounts()[1]["gidMappings"], map);
    let client = &mut running.clients[1];
    let root = client.mount();
    let file = client.reach(root, &[b"in-volume"]);
    let stat = client.stat(file).unwrap();
    assert_eq!((stat.uid, stat.gid), (0, 0));
    client.create(root, b"new", 0o600).unwrap();
    let new = fs::metadata(volume.join("new")).unwrap();
    assert_eq!((new.uid(), new.gid()), (OWNER, OWNER));
    assert_eq!(running.end().code, Some(0));
}
