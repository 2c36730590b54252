//! Control FDs that were given up while the kernel still knows the file, as one does that cannot be asked to forget it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use fusebridge::fs::caller::Caller;
use fusebridge::fs::identity::NodeId;
use fusebridge::fs::{Access, Bridge, IoMode, Owners, Policy};
use gofer::hostfs::{HostFs, HostOptions};
use lisafs::Errno;
use lisafs::client::{Client, ClientOptions};
use lisafs::server::{Connection, Server};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use tempfile::TempDir;

const CALLER: Caller = Caller { uid: 0, gid: 0, umask: 0, pid: 0 };

/// A served directory. Fields are dropped from the top.
struct Scene {
    bridge: Bridge,
    _connection: Connection,
    directory: TempDir,
}

impl Scene {
    /// With a server that has `max_fds`, and a bridge that wants to hold `max_nodes`.
    fn new(max_fds: usize, max_nodes: usize) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let options = HostOptions::default().max_fds(max_fds);
        let backend = Arc::new(HostFs::open(directory.path(), options).unwrap());
        let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
        let connection = Server::new().connect(theirs, b"/", backend).unwrap();
        let (client, root) = Client::connect(ours, &ClientOptions::default()).unwrap();
        let policy = Policy {
            access: Access::Shared,
            io: IoMode::Auto,
            xattr: true,
            no_atime: false,
            ttl: None,
            max_nodes,
            max_open: 1000,
            owners: Owners::default(),
        };
        let bridge = Bridge::new(Arc::new(client), &root.inode, policy);
        Scene { bridge, _connection: connection, directory }
    }

    fn walk(&self, path: &str) -> NodeId {
        path.split('/').fold(NodeId::ROOT, |parent, name| self.bridge.lookup(parent, name.as_bytes()).unwrap().id)
    }

    /// A tree with `count` files, each as large as its number, some way down: their paths.
    fn tree(&self, count: usize) -> Vec<String> {
        let paths: Vec<_> = (0..count).map(|number| format!("a/b/{}/c/{number}", number / 10)).collect();
        for (size, path) in paths.iter().enumerate() {
            let path = self.directory.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, vec![b'x'; size]).unwrap();
        }
        paths
    }
}

#[test]
fn files_that_the_kernel_keeps_are_walked_to_when_they_are_used() {
    // The one has less room than the bridge would take, the other asks it to hold few.
    for (max_fds, max_nodes, starts) in [(40, 1000, false), (1000, 20, true)] {
        let scene = Scene::new(max_fds, max_nodes);
        if starts {
            scene.bridge.evictor().start(Box::new(|_| {})).unwrap();
        }
        let files: Vec<_> = scene.tree(300).iter().map(|path| scene.walk(path)).collect();
        for _ in 0..2 {
            for (size, id) in files.iter().enumerate() {
                assert_eq!(scene.bridge.getattr(*id).unwrap().size, size as u64);
            }
        }
        scene.bridge.evictor().stop();
    }
}

#[test]
fn what_others_have_done_with_names_shows_when_a_file_is_walked_to() {
    let scene = Scene::new(40, 1000);
    let paths = scene.tree(100);
    let host = |path: &str| scene.directory.path().join(path);
    fs::hard_link(host(&paths[1]), host("second")).unwrap();
    let (moved, linked) = (scene.walk(&paths[0]), scene.walk(&paths[1]));
    assert_eq!(scene.walk("second"), linked);
    let gone = scene.walk(&paths[2]);
    let replaced = scene.walk(&paths[3]);
    // All of these are given up for others.
    paths[20..].iter().for_each(|path| _ = scene.walk(path));
    fs::rename(host(&paths[0]), host("moved")).unwrap();
    fs::remove_file(host(&paths[1])).unwrap();
    fs::remove_file(host(&paths[2])).unwrap();
    fs::write(host("other"), "other").unwrap();
    fs::rename(host("other"), host(&paths[3])).unwrap();
    let size = |id| scene.bridge.getattr(id).map(|stat| stat.size);
    assert_eq!(size(moved), Err(Errno::STALE));
    assert_eq!((scene.walk("moved"), size(moved)), (moved, Ok(0)));
    assert_eq!(size(linked), Ok(1));
    assert_eq!(size(gone), Err(Errno::STALE));
    assert_eq!(size(replaced), Err(Errno::STALE));
    assert_eq!(size(scene.walk(&paths[3])), Ok(5));
}

#[test]
fn a_file_that_loses_its_last_name_here_goes_on() {
    let scene = Scene::new(40, 1000);
    let paths = scene.tree(100);
    let directory = scene.walk("a/b/0/c");
    let (removed, replaced) = (scene.walk(&paths[1]), scene.walk(&paths[2]));
    paths[20..].iter().for_each(|path| _ = scene.walk(path));
    scene.bridge.unlink(directory, b"1", false).unwrap();
    scene.bridge.mknod(directory, b"new", 0o100_644, (0, 0), CALLER).unwrap();
    scene.bridge.rename((directory, b"new"), (directory, b"2"), 0).unwrap();
    paths[20..].iter().for_each(|path| _ = scene.walk(path));
    for (id, size) in [(removed, 1), (replaced, 2)] {
        let stat = scene.bridge.getattr(id).unwrap();
        assert_eq!((stat.size, stat.nlink), (size, 0));
    }
}

#[test]
fn what_cannot_be_had_fails_and_nothing_else() {
    let scene = Scene::new(40, 1000);
    let paths = scene.tree(100);
    let mut handles = Vec::new();
    let error = paths.iter().find_map(|path| {
        // There may be no room for the way either.
        let mut names = path.split('/');
        let id = names.try_fold(NodeId::ROOT, |parent, name| Ok(scene.bridge.lookup(parent, name.as_bytes())?.id));
        let opened = id.and_then(|id| Ok((id, scene.bridge.open(id, 0)?)));
        opened.map(|(id, handle)| handles.push((id, scene.bridge.add_handle(id, handle, false)))).err()
    });
    assert_eq!(error, Some(Errno::NFILE), "the limit is not the caller's");
    assert!(handles.len() > 10, "{}", handles.len());
    for (id, number) in handles {
        scene.bridge.release(id, number);
    }
    for path in &paths {
        let id = scene.walk(path);
        let host = fs::metadata(scene.directory.path().join(path)).unwrap();
        assert_eq!(scene.bridge.getattr(id).unwrap().size, host.size());
    }
}
