//! What a sandbox does not get, and a kernel that has checked its callers does.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use gofer::extensions::memfs::{MemFs, MemOptions};
use gofer::hostfs::{HostFs, HostOptions};
use lisafs::acl::{self, AccessList, Entry, Who};
use lisafs::backend::{Backend, ClientKind, Errno};
use lisafs::server::{Connection, Server};
use lisafs::wire::message::*;
use lisafs::wire::{CreateCommon, FdId, StringArrayBuf};

use crate::common;
use crate::common::client::{Client, Pathway};

const RENAME_WHITEOUT: u32 = 4;
const RENAME_NOREPLACE: u32 = 1;

/// Everything that only some clients may do.
const ATTRIBUTES: [&[u8]; 4] = [b"trusted.a", b"security.label", acl::ACCESS, acl::DEFAULT];

struct Scene {
    client: Client,
    root: FdId,
    _connection: Connection,
    kept: Option<tempfile::TempDir>,
}

impl Scene {
    /// A client of this kind on a file system of each backend that keeps everything.
    fn all(kind: ClientKind) -> [(&'static str, Self); 2] {
        rustix::process::umask(rustix::fs::Mode::empty());
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let host: Arc<dyn Backend> = Arc::new(HostFs::open(dir.path(), HostOptions::default()).unwrap());
        let mem: Arc<dyn Backend> = Arc::new(MemFs::new(MemOptions::default()).unwrap());
        [("host", Self::new(host, kind, Some(dir))), ("mem", Self::new(mem, kind, None))]
    }

    fn new(backend: Arc<dyn Backend>, kind: ClientKind, kept: Option<tempfile::TempDir>) -> Self {
        let options = backend.options().client(kind);
        let (ours, theirs) = common::socket_pair();
        let connection = Server::new().connect_with(theirs, b"/", backend, options).unwrap();
        let mut client = Client::new(ours);
        let root = client.mount();
        Scene { client, root, _connection: connection, kept }
    }

    fn dir(&self) -> &Path {
        self.kept.as_ref().unwrap().path()
    }

    /// The mode of a new directory of which an umask has taken `masked`.
    fn mkdir(&mut self, dir: FdId, name: &[u8], mode: u16, masked: u16) -> (FdId, u16) {
        let common = CreateCommon::new(dir, 0, 0, mode).masked(masked);
        let child = self.client.call(&MkdirAtReq { common, name }).unwrap().decode::<MkdirAtResp>().child;
        (child.control_fd, child.stat.mode & 0o7777)
    }

    fn set(&mut self, fd: FdId, name: &[u8], value: &[u8]) -> Result<(), Errno> {
        self.client.call(&FSetXattrReq { fd, flags: 0, name, value }).map(drop)
    }

    fn get(&mut self, fd: FdId, name: &[u8]) -> Result<Vec<u8>, Errno> {
        let answer = self.client.call(&FGetXattrReq { fd, buf_size: 0, name })?;
        Ok(answer.decode::<FGetXattrResp<'_>>().value.to_vec())
    }

    fn names(&mut self, fd: FdId) -> Vec<Vec<u8>> {
        let answer = self.client.call(&FListXattrReq { fd, size: 0 }).unwrap();
        let mut names: Vec<_> = answer.decode::<FListXattrResp<'_>>().names.iter().map(<[u8]>::to_vec).collect();
        names.sort();
        names
    }

    fn rename(&mut self, from: &[u8], to: &[u8], flags: u32) -> Result<(), Errno> {
        let (old_dir, new_dir) = (self.root, self.root);
        self.client.call(&RenameAt2Req { old_dir, new_dir, old_name: from, new_name: to, flags }).map(drop)
    }

    fn mode(&mut self, name: &[u8]) -> Option<u16> {
        let path = StringArrayBuf::collect([name]).unwrap();
        let answer = self.client.call(&WalkStatReq { dir: self.root, path: path.as_array() }).unwrap();
        let stats: Vec<_> = answer.decode::<WalkStatResp<'_>>().stats.iter().collect();
        stats.first().map(|stat| stat.mode)
    }
}

fn list() -> Vec<u8> {
    let entries = [(Who::Owner, 7), (Who::User(1), 7), (Who::Group, 5), (Who::Mask, 7), (Who::Others, 0)];
    AccessList::new(entries.map(|(who, rights)| Entry::new(who, rights))).unwrap().to_value()
}

fn value_of(name: &[u8]) -> Vec<u8> {
    if acl::is_list(name) { list() } else { b"value".to_vec() }
}

#[test]
fn a_sandbox_gets_attributes_of_users_only() {
    for (backend, mut scene) in Scene::all(ClientKind::Sandbox) {
        let (dir, _) = scene.mkdir(scene.root, b"d", 0o755, 0);
        scene.set(dir, b"user.a", b"1").unwrap();
        for name in ATTRIBUTES {
            assert_eq!(scene.set(dir, name, &value_of(name)), Err(Errno::OPNOTSUPP), "{backend}");
            let removed = scene.client.call(&FRemoveXattrReq { fd: dir, name }).map(drop);
            assert_eq!(removed, Err(Errno::OPNOTSUPP), "{backend}");
            let nothing = if name.starts_with(b"security.") { Errno::NODATA } else { Errno::OPNOTSUPP };
            assert_eq!(scene.get(dir, name), Err(nothing), "{backend}");
        }
        assert_eq!(scene.names(dir), [b"user.a"], "{backend}");
    }
}

/// Nor does it see what others have given a file.
#[test]
fn a_sandbox_sees_security_attributes_and_no_others() {
    let [(_, mut scene), _] = Scene::all(ClientKind::Sandbox);
    let (dir, _) = scene.mkdir(scene.root, b"d", 0o755, 0);
    for name in ATTRIBUTES {
        let name_text = std::str::from_utf8(name).unwrap();
        let path = scene.dir().join("d");
        rustix::fs::setxattr(&path, name_text, &value_of(name), rustix::fs::XattrFlags::empty()).unwrap();
    }
    assert_eq!(scene.names(dir), [b"security.label"]);
    assert_eq!(scene.get(dir, b"security.label"), Ok(b"value".to_vec()));
    for name in [&b"trusted.a"[..], acl::ACCESS, acl::DEFAULT] {
        assert_eq!(scene.get(dir, name), Err(Errno::OPNOTSUPP));
    }
}

#[test]
fn a_kernel_gets_all_attributes() {
    for (backend, mut scene) in Scene::all(ClientKind::Kernel) {
        let (dir, _) = scene.mkdir(scene.root, b"d", 0o755, 0);
        for name in ATTRIBUTES {
            assert_eq!(scene.get(dir, name), Err(Errno::NODATA), "{backend}");
            assert_eq!(scene.set(dir, name, &value_of(name)), Ok(()), "{backend}");
            assert_eq!(scene.get(dir, name), Ok(value_of(name)), "{backend}");
        }
        let mut all = ATTRIBUTES.map(<[u8]>::to_vec);
        all.sort();
        assert_eq!(scene.names(dir), all, "{backend}");
        for name in ATTRIBUTES {
            assert_eq!(scene.client.call(&FRemoveXattrReq { fd: dir, name }).map(drop), Ok(()), "{backend}");
        }
        assert_eq!(scene.names(dir), [b""; 0], "{backend}");
    }
}

#[test]
fn only_a_kernel_has_an_umask() {
    for (kind, with_list) in [(ClientKind::Sandbox, 0o700), (ClientKind::Kernel, 0o770)] {
        for (backend, mut scene) in Scene::all(kind) {
            let (dir, mode) = scene.mkdir(scene.root, b"d", 0o700, 0o077);
            assert_eq!(mode, 0o700, "{backend}");
            if kind == ClientKind::Kernel {
                scene.set(dir, acl::DEFAULT, &list()).unwrap();
            } else if backend == "host" {
                let path = scene.dir().join("d");
                rustix::fs::setxattr(&path, "system.posix_acl_default", &list(), rustix::fs::XattrFlags::empty())
                    .unwrap();
            }
            assert_eq!(scene.mkdir(dir, b"e", 0o700, 0o077).1, with_list, "{backend}");
        }
    }
}

#[test]
fn only_for_a_kernel_a_rename_leaves_a_whiteout() {
    const WHITEOUT: Option<u16> = Some(0o020_000);
    const DIRECTORY: Option<u16> = Some(0o040_755);
    for (backend, mut scene) in Scene::all(ClientKind::Sandbox) {
        scene.mkdir(scene.root, b"d", 0o755, 0);
        for flags in [RENAME_WHITEOUT, RENAME_WHITEOUT | RENAME_NOREPLACE, 8, 6] {
            assert_eq!(scene.rename(b"d", b"e", flags), Err(Errno::INVAL), "{backend} {flags}");
        }
        assert_eq!((scene.mode(b"d"), scene.mode(b"e")), (DIRECTORY, None), "{backend}");
    }
    for (backend, mut scene) in Scene::all(ClientKind::Kernel) {
        scene.mkdir(scene.root, b"d", 0o755, 0);
        for flags in [8, 6] {
            assert_eq!(scene.rename(b"d", b"e", flags), Err(Errno::INVAL), "{backend} {flags}");
        }
        assert_eq!(scene.rename(b"d", b"e", RENAME_WHITEOUT), Ok(()), "{backend}");
        assert_eq!((scene.mode(b"d"), scene.mode(b"e")), (WHITEOUT, DIRECTORY), "{backend}");
        let refused = scene.rename(b"e", b"d", RENAME_WHITEOUT | RENAME_NOREPLACE);
        assert_eq!(refused, Err(Errno::EXIST), "{backend}");
    }
}
