//! What is asked of the backend, and what is not.

mod common;

use std::thread;

use gofer::extensions::wrap::Call;
use lisafs::backend::{Access, Errno, Name, OpenHow};

use common::{Scene, bytes, content, create, exclusive, name, open_file, read, root, settle, strict, walk, write};

const MIB: usize = 1 << 20;

#[test]
fn what_was_read_once_is_asked_for_no_more() {
    let scene = Scene::new(&exclusive());
    let data = bytes(1, 3 * MIB + 12_345);
    scene.put("file", &data);
    assert!(content(&scene.claim, "file") == data);
    // The first read has moved the time of access, so that the attributes were asked for again.
    assert!(content(&scene.claim, "file") == data);
    scene.layer.take_all();
    for _ in 0..3 {
        assert!(content(&scene.claim, "file") == data);
        assert_eq!(read(&open_file(&scene.claim, "file", Access::Read), 1_000_001, 10), data[1_000_001..1_000_011]);
    }
    // Each connection asks for the root.
    assert_eq!(scene.layer.take(Call::Attach), 6);
    assert_eq!(scene.layer.take_all(), 0);
    let scene = scene.again(&exclusive());
    assert!(content(&scene.claim, "file") == data);
    assert_eq!(scene.layer.take(Call::Read), 0, "nor by the next process");
}

#[test]
fn a_version_is_asked_for_where_others_change_files() {
    let scene = Scene::new(&strict());
    let data = bytes(2, MIB);
    scene.put("file", &data);
    // Clocks are coarse: what was changed just now is fetched each time.
    settle(&scene, "file");
    let open = open_file(&scene.claim, "file", Access::Read);
    scene.layer.take_all();
    assert!(read(&open, 0, MIB) == data);
    assert_eq!(scene.layer.take(Call::Read), 0);
    drop(open_file(&scene.claim, "file", Access::Read));
    assert!(scene.layer.take_all() > 0);
}

#[test]
fn many_who_miss_one_chunk_make_one_request() {
    let scene = Scene::new(&exclusive());
    let data = bytes(3, MIB);
    scene.put("file", &data);
    // The time of access is moved once.
    drop(read(&open_file(&scene.claim, "file", Access::Read), 900_000, 1));
    scene.layer.take_all();
    let closed = scene.layer.gate.write().unwrap();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let file = open_file(&scene.claim, "file", Access::Read);
                assert_eq!(read(&file, 100_000, 10), data[100_000..100_010]);
            });
        }
        drop(closed);
    });
    assert_eq!(scene.layer.take(Call::Read), 1);
}

#[test]
fn who_reads_here_and_there_gets_little_more() {
    let scene = Scene::new(&exclusive());
    let data = bytes(4, 8 * MIB);
    scene.put("file", &data);
    let file = open_file(&scene.claim, "file", Access::Read);
    for offset in [5 * MIB, MIB, 7 * MIB, 3 * MIB] {
        assert_eq!(read(&file, offset as u64, 4096), data[offset..offset + 4096]);
    }
    assert!(scene.layer.take_largest() <= 64 << 10);
    assert!(scene.counts().fetched_bytes <= 4 * (64 << 10));
    assert_eq!(scene.counts().ahead_bytes, 0);
    // And who reads all of it gets large pieces.
    assert!(content(&scene.claim, "file") == data);
    assert_eq!(scene.layer.take_largest(), MIB as u64);
    assert!(scene.counts().ahead_bytes > 0);
}

#[test]
fn names_and_attributes_are_known() {
    let scene = Scene::new(&exclusive());
    let top = root(&scene.claim);
    let new = lisafs::backend::NewFile::new(lisafs::backend::Mode::new(0o755), 0, 0);
    let dir = top.mkdir(name("dir"), &new).unwrap().file;
    dir.symlink(name("link"), b"target", &new).unwrap();
    drop(create(&scene.claim, "file"));
    let file = walk(&scene.claim, "file").file;
    file.set_xattr(b"user.a", b"1", lisafs::backend::XattrFlags::empty()).unwrap();
    let use_all = || {
        let dir = walk(&scene.claim, "dir").file;
        assert_eq!(dir.walk(name("link")).unwrap().file.read_link().unwrap(), b"target");
        assert_eq!(dir.walk(name("none")).map(drop).unwrap_err(), Errno::NOENT);
        let file = walk(&scene.claim, "file").file;
        assert_eq!(file.get_xattr(b"user.a").unwrap(), b"1");
        assert_eq!(file.get_xattr(b"user.b").unwrap_err(), Errno::NODATA);
        assert_eq!(file.list_xattr().unwrap(), [b"user.a"]);
        let mut seen = 0;
        let path = ["dir", "link"].map(|part| Name::new(part.as_bytes()).unwrap());
        root(&scene.claim).walk_stat(&mut path.into_iter(), &mut |_| seen += 1).unwrap();
        assert_eq!(seen, 2);
        let listed = dir.open(OpenHow::new(Access::Read)).unwrap().file;
        struct Count(usize);
        impl lisafs::backend::DirSink for Count {
            fn add(&mut self, _: &lisafs::backend::DirEntry<'_>) -> bool {
                self.0 += 1;
                true
            }
        }
        let mut count = Count(0);
        listed.read_dir(0, &mut count).unwrap();
        assert_eq!(count.0, 1);
    };
    use_all();
    scene.layer.take_all();
    use_all();
    // The root is asked for by each connection.
    scene.layer.take(Call::Attach);
    assert_eq!(scene.layer.take_all(), 0);
    // What is changed is known, too.
    file.set_xattr(b"user.b", b"2", lisafs::backend::XattrFlags::empty()).unwrap();
    assert_eq!(file.get_xattr(b"user.b").unwrap(), b"2");
    dir.unlink(name("link"), lisafs::backend::Unlink::File).unwrap();
    scene.layer.take_all();
    assert_eq!(dir.walk(name("link")).map(drop).unwrap_err(), Errno::NOENT);
    assert_eq!(scene.layer.take_all(), 0);
}

#[test]
fn who_has_a_file_open_keeps_it() {
    let scene = Scene::new(&exclusive());
    for (seed, entry) in [(6, "removed"), (7, "replaced"), (8, "new")] {
        scene.put(entry, &bytes(seed, 100_000));
    }
    let open = ["removed", "replaced"].map(|entry| open_file(&scene.claim, entry, Access::Read));
    assert_eq!(scene.layer.take(Call::Open), 0, "the backend has not opened them yet");
    let top = root(&scene.claim);
    top.unlink(name("removed"), lisafs::backend::Unlink::File).unwrap();
    top.rename(name("new"), &*top, name("replaced"), lisafs::backend::RenameFlags::Replace).unwrap();
    assert_eq!(scene.layer.take(Call::Open), 2, "but before they went");
    for (seed, file) in (6..).zip(&open) {
        assert!(read(file, 0, 100_001) == bytes(seed, 100_000));
        assert_eq!(file.stat().unwrap().nlink, 0);
    }
    assert!(content(&scene.claim, "replaced") == bytes(8, 100_000));
}

#[test]
fn what_is_written_is_read_without_asking() {
    let scene = Scene::new(&exclusive());
    let data = bytes(5, 2 * MIB + 77);
    let file = create(&scene.claim, "file");
    write(&file, 0, &data);
    write(&file, 1_000, b"over");
    let mut expected = data;
    expected[1_000..1_004].copy_from_slice(b"over");
    scene.layer.take_all();
    assert!(read(&file, 0, expected.len() + 1) == expected);
    assert_eq!(scene.layer.take(Call::Read), 0);
    assert!(std::fs::read(scene.files.path().join("file")).unwrap() == expected, "and is in the backend");
    drop(file);
    assert!(content(&scene.claim, "file") == expected);
    let scene = scene.again(&exclusive());
    assert!(content(&scene.claim, "file") == expected);
    assert_eq!(scene.layer.take(Call::Read), 0);
}
