//! Once everything is warm, the common requests do not allocate: counted in the threads of the server.

#![allow(unsafe_code, reason = "an allocator that counts")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use gofer::hostfs::{HostFs, HostOptions};
use lisafs::backend::Options;
use lisafs::wire::FdId;

use common::client::Pathway;
use common::mem::Mem;

#[allow(dead_code, reason = "shared with other tests, which use all of it")]
#[path = "../lisafs/tests/common/mod.rs"]
mod common;

/// The system's allocator. Counts what the server's threads ask for.
struct Counting;

static COUNT: AtomicUsize = AtomicUsize::new(0);

fn count() {
    let mut name = [0u8; 16];
    // SAFETY: writes up to 16 bytes, the name of this thread.
    unsafe { libc::prctl(libc::PR_GET_NAME, name.as_mut_ptr()) };
    if name.starts_with(b"lisafs-") {
        COUNT.fetch_add(1, Ordering::Relaxed);
    }
}

// SAFETY: passes everything on to the system's allocator; counting does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(memory, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How often the server allocates while `work` is done a hundred times: the least of several tries, since a thread that
/// starts late is no part of the work.
fn allocations(mut work: impl FnMut()) -> usize {
    let mut hundred = || {
        let before = COUNT.load(Ordering::SeqCst);
        (0..100).for_each(|_| work());
        COUNT.load(Ordering::SeqCst) - before
    };
    (0..5).map(|_| hundred()).min().unwrap()
}

fn check(through: &mut impl Pathway, root: FdId, path: &[&[u8]], file: FdId) {
    let open = through.open(file, libc::O_RDWR).unwrap();
    let one = allocations(|| {
        through.stat(file).unwrap();
        through.stat(open).unwrap();
    });
    assert_eq!(one, 0, "FStat");
    for len in 1..=path.len() {
        let walk = allocations(|| {
            let (_, inodes) = through.walk(root, &path[..len]).unwrap();
            assert_eq!(inodes.len(), len);
            let fds: Vec<FdId> = inodes.iter().map(|inode| inode.control_fd).collect();
            through.close(&fds);
        });
        assert_eq!(walk, 0, "Walk of {len} and Close");
    }
    let io = allocations(|| {
        assert_eq!(through.write(open, 0, &[7; 5000]).unwrap(), 5000);
        assert_eq!(through.read(open, 0, 5000).unwrap(), [7; 5000]);
    });
    assert_eq!(io, 0, "PWrite and PRead");
    let reopened = allocations(|| {
        let open = through.open(file, libc::O_RDONLY).unwrap();
        through.close(&[open]);
    });
    assert_eq!(reopened, 0, "OpenAt and Close");
    through.close(&[open]);
    // Were nothing counted at all, this would show it.
    assert!(
        allocations(|| {
            through.mount();
        }) > 0,
        "Mount does allocate"
    );
}

/// One test, since the counter is one for the whole process.
#[test]
fn common_requests_do_not_allocate() {
    let path: [&[u8]; 8] = [b"a", b"b", b"c", b"d", b"e", b"f", b"g", b"file"];

    let mem = Arc::new(Mem::new(Options::default().tree_locks(false)));
    let dir = path[..7].iter().fold(mem.root.clone(), |dir, name| mem.add_dir(&dir, name));
    mem.add_file(&dir, b"file", b"");
    let (mut client, _connection) = common::serve(mem);
    let root = client.mount();
    let file = client.reach(root, &path);
    check(&mut client, root, &path, file);
    check(&mut client.channel().unwrap(), root, &path, file);

    let host_dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(host_dir.path().join("a/b/c/d/e/f/g")).unwrap();
    std::fs::write(host_dir.path().join("a/b/c/d/e/f/g/file"), "").unwrap();
    let (mut client, _connection) =
        common::serve(Arc::new(HostFs::open(host_dir.path(), HostOptions::default()).unwrap()));
    let root = client.mount();
    let file = client.reach(root, &path);
    check(&mut client, root, &path, file);
    check(&mut client.channel().unwrap(), root, &path, file);
}
