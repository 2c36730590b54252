//! Others change the files.

mod common;

use std::fs;
use std::os::unix::fs::FileExt;
use std::thread;
use std::time::Duration;

use gofer_cache::{Limits, Options};
use lisafs::backend::{Access, Errno, OpenHow};

use common::{Scene, bytes, content, exclusive, name, open_file, read, root, settle, strict, walk};

/// Opens and reads a file as a kernel does, which looks a name up again when that is wanted.
fn look(scene: &Scene, entry: &str) -> Option<Vec<u8>> {
    for _ in 0..3 {
        let found = match root(&scene.claim).walk(name(entry)) {
            Err(error) if error == Errno::NOENT => return None,
            found => found.unwrap(),
        };
        match found.file.open(OpenHow::new(Access::Read)) {
            Err(error) if error == Errno::STALE => {}
            opened => {
                let file = opened.unwrap().file;
                let size = file.stat().unwrap().size;
                return Some(read(&file, 0, usize::try_from(size).unwrap() + 1));
            }
        }
    }
    panic!("{entry} is stale for ever");
}

#[test]
fn who_opens_a_file_gets_what_it_is_now() {
    // As it is by default, and with nothing believed.
    for options in [Options::default(), strict()] {
        let scene = Scene::new(&options);
        let path = scene.files.path().join("file");
        assert_eq!(look(&scene, "file"), None);
        for round in 0..20_u64 {
            let data = bytes(round, 100_000);
            match round % 4 {
                // In place, of the same size.
                0 => scene.put("file", &data),
                1 => fs::File::options().write(true).open(&path).unwrap().write_all_at(&data, 0).unwrap(),
                // By another file.
                2 => {
                    scene.put("new", &data);
                    fs::rename(scene.files.path().join("new"), &path).unwrap();
                }
                _ => {
                    fs::remove_file(&path).unwrap();
                    scene.put("file", &data);
                }
            }
            // Of a name that was not there before, the kernel asks as often as it likes.
            let seen = look(&scene, "file");
            assert!(seen.as_deref() == Some(&data[..]) || seen.is_none() && round == 0, "round {round}");
            assert!(look(&scene, "file").as_deref().is_none_or(|seen| seen == data), "round {round}, again");
        }
        fs::remove_file(&path).unwrap();
        assert_eq!(look(&scene, "file"), None);
    }
}

#[test]
fn who_was_told_of_a_file_from_memory_and_takes_his_time_hears_that_it_is_another() {
    const TTL: Duration = Duration::from_secs(1);
    let scene = Scene::new(&Options::default().ttl(TTL));
    scene.put("file", b"old");
    // The first answer is the backend's, the second one is remembered.
    let told = [(); 2].map(|()| walk(&scene.claim, "file").file);
    scene.put("new", b"new");
    fs::rename(scene.files.path().join("new"), scene.files.path().join("file")).unwrap();
    thread::sleep(TTL);
    let opened = told[1].open(OpenHow::new(Access::Read));
    assert_eq!(opened.err().map(|error| error.errno()), Some(Errno::STALE));
    assert_eq!(look(&scene, "file").unwrap(), b"new");
    // Who insists has it by another way.
    assert_eq!(read(&told[1].open(OpenHow::new(Access::Read)).unwrap().file, 0, 10), b"old");
}

#[test]
fn who_goes_by_a_name_from_memory_never_opens_what_others_have_removed() {
    let scene = Scene::new(&Options::default().ttl(Duration::from_secs(3600)));
    let path = scene.files.path().join("file");
    let ways = [
        OpenHow::new(Access::Read),
        OpenHow::new(Access::Write),
        OpenHow::new(Access::ReadWrite),
        OpenHow::new(Access::Write).truncate(true),
    ];
    for how in ways {
        scene.put("file", b"old");
        // A kernel that has had a position for long goes on with that, and not with those that it is told of later.
        let (first, told) = (walk(&scene.claim, "file"), [(); 2].map(|()| walk(&scene.claim, "file")));
        drop(told);
        scene.put("new", b"new");
        fs::rename(scene.files.path().join("new"), &path).unwrap();
        let opened = first.file.open(how);
        assert_eq!(opened.err().map(|error| error.errno()), Some(Errno::STALE), "{how:?}");
        assert_eq!(look(&scene, "file").unwrap(), b"new", "{how:?}");
    }
}

#[test]
fn who_has_a_file_open_sees_it_grow() {
    let scene = Scene::new(&strict());
    scene.put("log", b"one\n");
    let log = open_file(&scene.claim, "log", Access::Read);
    assert_eq!(read(&log, 0, 100), b"one\n");
    scene.put("log", b"one\ntwo\n");
    assert_eq!(read(&log, 4, 100), b"two\n");
}

#[test]
fn what_is_changed_while_nobody_looks_is_noticed() {
    for options in [exclusive(), strict()] {
        let scene = Scene::new(&options);
        scene.put("file", &bytes(1, 200_000));
        scene.put("other", &bytes(2, 200_000));
        content(&scene.claim, "file");
        content(&scene.claim, "other");
        let scene = {
            let Scene { files, cache, layer, claim } = scene;
            drop(claim);
            fs::write(files.path().join("file"), bytes(3, 200_000)).unwrap();
            let scene = Scene { claim: common::open("mem:"), files, cache, layer };
            scene.again(&options)
        };
        assert!(content(&scene.claim, "file") == bytes(3, 200_000));
        assert!(content(&scene.claim, "other") == bytes(2, 200_000));
    }
}

#[test]
fn a_donated_descriptor_is_of_what_the_file_is_now() {
    let limits = Limits::new(1 << 30, Some(0));
    let scene = Scene::with(&strict(), limits, true);
    let open = || walk(&scene.claim, "file").file.open(OpenHow::new(Access::Read)).unwrap();
    let (old, new) = (bytes(1, 300_000), bytes(2, 200_000));
    scene.put("file", &old);
    assert!(open().donated.is_none(), "it is not in the cache");
    settle(&scene, "file");
    let opened = open();
    let first = fs::File::from(opened.donated.expect("it is in the cache"));
    let all = |file: &fs::File| {
        let mut all = vec![0; usize::try_from(file.metadata().unwrap().len()).unwrap()];
        file.read_exact_at(&mut all, 0).unwrap();
        all
    };
    assert!(all(&first) == old);
    // A kernel that has the file open goes on with what it was given first.
    scene.put("file", &new);
    let again = open();
    assert!(all(&first) == new);
    assert!(read(&again.file, 0, 300_000) == new);
    assert!(again.donated.is_none_or(|fd| all(&fd.into()) == new));
    // When nobody has it open, who kept the descriptor keeps the content.
    drop((opened.file, again.file));
    scene.put("file", &old);
    assert!(content(&scene.claim, "file") == old);
    assert!(all(&first) == new);
}

#[test]
fn files_that_can_be_written_are_not_donated() {
    let scene = Scene::new(&exclusive());
    scene.put("file", &bytes(1, 1000));
    (0..3).for_each(|_| drop(content(&scene.claim, "file")));
    assert!(walk(&scene.claim, "file").file.open(OpenHow::new(Access::Read)).unwrap().donated.is_none());
}
