//! Set-id bits of new files, beside what the kernel gives a process with the client's identity.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;
use std::sync::Arc;

use gofer::extensions::memfs::{MemFs, MemOptions};
use gofer::hostfs::{HostFs, HostOptions, SpecialFiles};
use lisafs::backend::{Backend, ClientKind};
use lisafs::server::Connection;
use lisafs::wire::message::*;
use lisafs::wire::{CreateCommon, FdId, Inode};
use rustix::process::{Gid, Uid};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

use crate::common;
use crate::common::client::{Client, Pathway};

const USER: u32 = 1234;
const GROUP: u32 = 77;

const SET_GID: u32 = 0o2000;

const MODES: [u32; 10] = [0o755, 0o2755, 0o2775, 0o2711, 0o2744, 0o2700, 0o4755, 0o6777, 0o6711, 0o7777];
const DIR_MODES: [u32; 2] = [0o777, 0o2777];
const DIR_GROUPS: [u32; 3] = [0, GROUP, USER];

/// What is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    File,
    Directory,
    Fifo,
}

const KINDS: [Kind; 3] = [Kind::File, Kind::Directory, Kind::Fifo];

/// The mode and group of what the kernel makes at `path` for a user, who is in `groups` besides his own.
fn native(path: &Path, kind: Kind, mode: u32, groups: &[u32]) -> (u32, u32) {
    let name = CString::new(path.as_os_str().as_bytes()).unwrap();
    std::thread::scope(|scope| {
        let make = scope.spawn(|| {
            let groups: Vec<Gid> = groups.iter().map(|group| Gid::from_raw(*group)).collect();
            set_thread_groups(&groups).unwrap();
            let (uid, gid) = (Uid::from_raw(USER), Gid::from_raw(USER));
            set_thread_res_gid(gid, gid, gid).unwrap();
            set_thread_res_uid(uid, uid, uid).unwrap();
            let bits = rustix::fs::Mode::from_raw_mode(mode);
            match kind {
                Kind::File => {
                    let flags = rustix::fs::OFlags::CREATE | rustix::fs::OFlags::EXCL | rustix::fs::OFlags::RDWR;
                    drop(rustix::fs::open(name.as_c_str(), flags, bits).unwrap());
                }
                Kind::Directory => rustix::fs::mkdir(name.as_c_str(), bits).unwrap(),
                Kind::Fifo => {
                    rustix::fs::mknodat(rustix::fs::CWD, name.as_c_str(), rustix::fs::FileType::Fifo, bits, 0).unwrap();
                }
            }
        });
        make.join().unwrap();
    });
    let made = std::fs::metadata(path).unwrap();
    (made.mode() & 0o7777, made.gid())
}

/// The mode and group of what a client makes, which asks as a sandbox's kernel does: in a set-group-ID directory for
/// the directory's group, and for the bit on directories.
fn served(
    client: &mut Client,
    dir: FdId,
    name: &[u8],
    kind: Kind,
    mode: u32,
    (dir_mode, dir_group): (u32, u32),
) -> (u32, u32) {
    let inherits = dir_mode & SET_GID != 0;
    let gid = if inherits { dir_group } else { USER };
    let mode = match kind {
        // mkdir(2) takes no set-id bits.
        Kind::Directory if inherits => mode & 0o1777 | SET_GID,
        Kind::Directory => mode & 0o1777,
        Kind::File | Kind::Fifo => mode,
    };
    let common = |file_type: u32| CreateCommon::new(dir, USER, gid, u16::try_from(file_type | mode).unwrap());
    let child: Inode = match kind {
        Kind::File => {
            let request = OpenCreateAtReq { common: common(0), flags: libc::O_RDWR.cast_unsigned(), name };
            client.call(&request).unwrap().decode::<OpenCreateAtResp>().child
        }
        Kind::Directory => client.call(&MkdirAtReq { common: common(0), name }).unwrap().decode::<MkdirAtResp>().child,
        Kind::Fifo => {
            let request = MknodAtReq { common: common(libc::S_IFIFO), minor: 0, major: 0, name };
            client.call(&request).unwrap().decode::<MknodAtResp>().child
        }
    };
    (u32::from(child.stat.mode) & 0o7777, child.stat.gid)
}

/// The mode without what lends the rights of the file's group to those who run it.
fn without_lent_group(kind: Kind, mode: u32) -> u32 {
    if kind != Kind::Directory && mode & 0o010 != 0 { mode & !SET_GID } else { mode }
}

/// A directory of this mode and group, and a client of `backend` on it.
fn client(backend: Arc<dyn Backend>) -> (Client, FdId, Connection) {
    let (mut client, connection) = common::serve(backend);
    let root = client.mount();
    (client, root, connection)
}

#[test]
fn a_client_is_granted_what_the_kernel_grants_its_process() {
    rustix::process::umask(rustix::fs::Mode::empty());
    let scratch = tempfile::tempdir().unwrap();
    std::fs::set_permissions(scratch.path(), std::fs::Permissions::from_mode(0o711)).unwrap();
    for (at, (dir_mode, dir_group)) in
        DIR_MODES.into_iter().flat_map(|mode| DIR_GROUPS.map(|group| (mode, group))).enumerate()
    {
        let place = |what: &str| {
            let path = scratch.path().join(format!("{what}-{at}"));
            std::fs::create_dir(&path).unwrap();
            chown(&path, None, Some(dir_group)).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(dir_mode)).unwrap();
            path
        };
        let reference = place("native");
        let options = HostOptions::default().special(SpecialFiles::Create);
        let host = client(Arc::new(HostFs::open(&place("host"), options).unwrap()));
        let mem = MemOptions::default().mode(u16::try_from(dir_mode).unwrap()).gid(dir_group);
        let mem = client(Arc::new(MemFs::new(mem).unwrap()));
        for (backend, (mut client, root, _connection)) in [("host", host), ("mem", mem)] {
            for (kind, mode) in KINDS.into_iter().flat_map(|kind| MODES.map(|mode| (kind, mode))) {
                let name = format!("{backend}-{kind:?}-{mode:o}");
                let case = format!("{name} in a directory {dir_mode:o} of group {dir_group}");
                let (native_mode, native_group) = native(&reference.join(&name), kind, mode, &[]);
                let made = served(&mut client, root, name.as_bytes(), kind, mode, (dir_mode, dir_group));
                assert_eq!(made.1, native_group, "{case}");
                assert_eq!(
                    made.0,
                    without_lent_group(kind, native_mode),
                    "{case}: {:o}, natively {native_mode:o}",
                    made.0
                );
                // A member of the group may get the bit from the kernel. The server cannot know of that.
                let (member, _) = native(&reference.join(format!("{name}-member")), kind, mode, &[GROUP]);
                assert_eq!(made.0, without_lent_group(kind, member), "{case}: {:o}, a member's is {member:o}", made.0);
            }
        }
    }
}

/// The owner of a set-group-ID directory of a group that he is not in may take the directory's bit away, and give it to
/// a group of his own, after a sandbox's kernel has looked at the directory and before the server does.
#[test]
fn a_directory_that_changes_meanwhile_grants_nothing() {
    let scratch = tempfile::tempdir().unwrap();
    for (at, (dir_mode, dir_group)) in [(0o777, GROUP), (0o777, USER)].into_iter().enumerate() {
        let path = scratch.path().join(at.to_string());
        std::fs::create_dir(&path).unwrap();
        chown(&path, Some(USER), Some(dir_group)).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(dir_mode)).unwrap();
        let options = HostOptions::default().special(SpecialFiles::Create);
        let host = client(Arc::new(HostFs::open(&path, options).unwrap()));
        let mem = MemOptions::default().mode(u16::try_from(dir_mode).unwrap()).gid(dir_group);
        let mem = client(Arc::new(MemFs::new(mem).unwrap()));
        for (backend, (mut client, root, _connection)) in [("host", host), ("mem", mem)] {
            for kind in [Kind::File, Kind::Fifo] {
                let name = format!("{kind:?}");
                let before = (0o2777, GROUP);
                let made = served(&mut client, root, name.as_bytes(), kind, 0o6775, before);
                assert_eq!(
                    made,
                    (0o4775, GROUP),
                    "{backend}: {name} in {dir_mode:o} of group {dir_group}: {:o}",
                    made.0
                );
            }
        }
    }
}

#[test]
fn a_kernel_that_has_decided_is_believed() {
    let scratch = tempfile::tempdir().unwrap();
    chown(scratch.path(), None, Some(GROUP)).unwrap();
    std::fs::set_permissions(scratch.path(), std::fs::Permissions::from_mode(0o2777)).unwrap();
    let backend = Arc::new(HostFs::open(scratch.path(), HostOptions::default()).unwrap());
    let options = backend.options().client(ClientKind::Kernel);
    let (ours, theirs) = common::socket_pair();
    let _connection = lisafs::server::Server::new().connect_with(theirs, b"/", backend, options).unwrap();
    let mut client = Client::new(ours);
    let root = client.mount();
    assert_eq!(served(&mut client, root, b"f", Kind::File, 0o2775, (0o2777, GROUP)), (0o2775, GROUP));
}
