//! Writes that are acknowledged when the disk of the cache has them.

mod common;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use gofer::extensions::wrap::Call;
use gofer_cache::Limits;
use lisafs::backend::{
    Access, AllocateFlags, Errno, Mode, NO_ID, NewFile, OpenBox, OpenHow, RenameFlags, SetStat, Timespec, Unlink,
};

use common::killed::{below, close, closed, copy, error_of, killed};
use common::{Scene, back, bytes, content, create, dirty, name, open_file, read, root, walk, write};

fn writes(file: &OpenBox, data: &[u8]) -> lisafs::backend::Result<usize> {
    file.write_at(data.into(), 0)
}

#[test]
fn a_write_does_not_wait_for_the_backend() {
    let scene = Scene::new(&back());
    let data = bytes(1, 300_000);
    let gate = scene.layer.gate.write().unwrap();
    let file = create(&scene.claim, "file");
    write(&file, 0, &data);
    write(&file, 100, b"hello");
    let mut wanted = data;
    wanted[100..105].copy_from_slice(b"hello");
    assert!(read(&file, 0, 400_000) == wanted);
    assert_eq!(walk(&scene.claim, "file").stat.size, 300_000);
    assert_eq!((below(&scene, "file").len(), dirty(scene.cache.path()) > 300_000), (0, true));
    drop(gate);
    file.sync().unwrap();
    assert!(below(&scene, "file") == wanted);
    assert_eq!(dirty(scene.cache.path()), 0);
    // And now it is in the cache.
    let misses = scene.counts().misses;
    assert!(content(&scene.claim, "file") == wanted);
    assert_eq!(scene.counts().misses, misses);
}

#[test]
fn a_full_backend_is_told_of_once_and_loses_nothing() {
    let scene = closed();
    let file = create(&scene.claim, "file");
    assert_eq!(writes(&file, b"one").unwrap(), 3);
    assert_eq!(error_of(file.sync()), Errno::NOSPC);
    // Whoever has heard of it goes on.
    assert_eq!(file.write_at((&b"two"[..]).into(), 3).unwrap(), 3);
    let start = std::time::Instant::now();
    while scene.counts().upload_failures < 2 {
        assert!(start.elapsed().as_secs() < 30, "it is tried again");
        std::thread::yield_now();
    }
    assert_eq!(error_of(file.flush()), Errno::NOSPC);
    assert_eq!(content(&scene.claim, "file"), b"onetwo");
    assert_eq!(below(&scene, "file"), b"");
    close(&scene, None);
    file.sync().unwrap();
    assert_eq!(below(&scene, "file"), b"onetwo");
    file.flush().unwrap();
}

#[test]
fn there_is_an_end_to_what_the_backend_does_not_have() {
    let mut options = back();
    options.dirty = Some(100_000);
    let scene = Scene::with(&options, Limits::new(1 << 30, Some(0)), false);
    close(&scene, Some(Errno::NOSPC));
    let file = create(&scene.claim, "file");
    let mut offset = 0;
    let errno = loop {
        match file.write_at((&bytes(offset, 10_000)[..]).into(), offset) {
            Ok(count) => offset += count as u64,
            Err(error) if offset >= 100_000 => break error.errno(),
            // As soon as the first upload has failed.
            Err(_) => {}
        }
        assert!(offset < 200_000);
    };
    assert_eq!(errno, Errno::NOSPC);
    close(&scene, None);
    file.sync().unwrap();
    assert_eq!(below(&scene, "file").len() as u64, offset);
}

#[test]
fn what_a_killed_process_has_acknowledged_is_uploaded_by_the_next_one() {
    let scene = closed();
    scene.put("old", &bytes(9, 200_000));
    let (new, old) = (create(&scene.claim, "new"), open_file(&scene.claim, "old", Access::ReadWrite));
    write(&new, 1000, &bytes(1, 100_000));
    root(&scene.claim).mkdir(name("d"), &NewFile::new(Mode::new(0o755), NO_ID, NO_ID)).unwrap();
    let d = walk(&scene.claim, "d").file;
    let sealed = NewFile::new(Mode::new(0o444), NO_ID, NO_ID);
    let deep = d.create(name("deep"), &sealed, Access::Write).unwrap().opened.file;
    write(&deep, 0, b"deep");
    write(&old, 100_000, b"middle");
    walk(&scene.claim, "old").file.set_stat(&SetStat::new().size(150_000)).unwrap();
    // Another layer of it.
    assert_eq!(error_of(old.sync()), Errno::NOSPC);
    walk(&scene.claim, "old").file.set_stat(&SetStat::new().size(160_000)).unwrap();
    write(&old, 155_000, b"end");
    let time = Timespec { sec: 1_000_000, nsec: 7 };
    walk(&scene.claim, "old").file.set_stat(&SetStat::new().mtime(time)).unwrap();
    let mut wanted = bytes(9, 200_000);
    wanted[100_000..100_006].copy_from_slice(b"middle");
    wanted.truncate(150_000);
    wanted.resize(160_000, 0);
    wanted[155_000..155_003].copy_from_slice(b"end");
    let check = |scene: &Scene| {
        assert!(content(&scene.claim, "old") == wanted);
        let stat = walk(&scene.claim, "old").stat;
        assert_eq!((stat.size, stat.mtime.sec, stat.mtime.nsec), (160_000, 1_000_000, 7));
        assert!(content(&scene.claim, "new")[1000..] == bytes(1, 100_000));
        let deep = walk(&scene.claim, "d").file.walk(name("deep")).unwrap();
        assert_eq!((deep.stat.size, deep.stat.mode & 0o777), (4, 0o444));
    };
    check(&scene);
    let scene = killed(scene);
    check(&scene);
    scene.settle();
    check(&scene);
    assert!(below(&scene, "old") == wanted);
    let stat = fs::metadata(scene.files.path().join("old")).unwrap();
    assert_eq!((stat.mtime(), stat.mtime_nsec()), (1_000_000, 7));
    assert!(below(&scene, "new")[1000..] == bytes(1, 100_000));
    assert_eq!(below(&scene, "d/deep"), b"deep");
    let mode = fs::metadata(scene.files.path().join("d/deep")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o444);
}

#[test]
fn what_writes_through_uploads_first_what_was_left() {
    let scene = closed();
    write(&create(&scene.claim, "file"), 0, b"left");
    let scene = killed(scene);
    let scene = scene.again(&common::strict());
    assert_eq!(below(&scene, "file"), b"left");
    assert_eq!(content(&scene.claim, "file"), b"left");
}

#[test]
fn a_name_is_never_given_to_data_that_is_not_there() {
    let scene = closed();
    scene.put("target", b"old");
    let file = create(&scene.claim, "temporary");
    write(&file, 0, b"new");
    let rename = || {
        let root = root(&scene.claim);
        root.rename(name("temporary"), &*root, name("target"), RenameFlags::Replace)
    };
    assert_eq!(error_of(rename()), Errno::NOSPC);
    assert_eq!((below(&scene, "target"), content(&scene.claim, "temporary")), (b"old".to_vec(), b"new".to_vec()));
    close(&scene, None);
    rename().unwrap();
    assert_eq!(below(&scene, "target"), b"new");
    // By its new name, it is written back again.
    write(&file, 3, b"er");
    let scene = killed(scene);
    assert_eq!(content(&scene.claim, "target"), b"newer");
}

#[test]
fn directories_take_what_is_in_them_along() {
    let scene = Scene::new(&back());
    let new = NewFile::new(Mode::new(0o755), NO_ID, NO_ID);
    let d = root(&scene.claim).mkdir(name("d"), &new).unwrap().file;
    let file = d.create(name("file"), &new, Access::Write).unwrap().opened.file;
    write(&file, 0, b"one");
    let base = root(&scene.claim);
    base.rename(name("d"), &*base, name("e"), RenameFlags::Replace).unwrap();
    assert_eq!(below(&scene, "e/file"), b"one");
    close(&scene, Some(Errno::IO));
    write(&file, 3, b"two");
    let scene = killed(scene);
    scene.settle();
    assert_eq!(below(&scene, "e/file"), b"onetwo");
}

#[test]
fn what_is_removed_is_not_uploaded() {
    let scene = closed();
    let file = create(&scene.claim, "file");
    write(&file, 0, &bytes(1, 100_000));
    root(&scene.claim).unlink(name("file"), Unlink::File).unwrap();
    // Whoever has it open still has it.
    assert!(read(&file, 0, 200_000) == bytes(1, 100_000));
    drop(file);
    scene.layer.take(Call::Write);
    let start = std::time::Instant::now();
    while dirty(scene.cache.path()) > 0 {
        assert!(start.elapsed().as_secs() < 30, "it is never forgotten");
        std::thread::yield_now();
    }
    assert_eq!(scene.layer.take(Call::Write), 0);
    let scene = killed(scene);
    assert_eq!(gofer_cache::status(scene.cache.path()).unwrap().volumes[0].lost_files, 0);
}

#[test]
fn what_is_removed_can_still_be_opened_by_its_positions() {
    let scene = Scene::new(&back());
    write(&create(&scene.claim, "file"), 0, b"content");
    let found = walk(&scene.claim, "file");
    root(&scene.claim).unlink(name("file"), Unlink::File).unwrap();
    let start = std::time::Instant::now();
    while dirty(scene.cache.path()) > 0 {
        assert!(start.elapsed().as_secs() < 30, "it is never uploaded");
        std::thread::yield_now();
    }
    assert_eq!(found.file.stat().unwrap().size, 7);
    let opened = found.file.open(OpenHow::new(Access::Read)).unwrap();
    assert_eq!(read(&opened.file, 0, 10), b"content");
}

#[test]
fn what_has_another_name_is_uploaded_when_one_is_removed() {
    let scene = Scene::new(&back());
    let file = create(&scene.claim, "one");
    write(&file, 0, b"data");
    let base = root(&scene.claim);
    base.link(name("two"), &*walk(&scene.claim, "one").file).unwrap();
    assert_eq!(walk(&scene.claim, "two").stat.size, 4);
    base.unlink(name("one"), Unlink::File).unwrap();
    assert_eq!(below(&scene, "two"), b"data");
    write(&file, 4, b"more");
    file.sync().unwrap();
    assert_eq!(below(&scene, "two"), b"datamore");
}

#[test]
fn a_name_that_comes_while_another_goes_keeps_what_is_not_uploaded() {
    let scene = closed();
    write(&create(&scene.claim, "one"), 0, b"data");
    let found = walk(&scene.claim, "one");
    *scene.layer.gated.lock().unwrap() = Some(Call::Unlink);
    let gate = scene.layer.gate.write().unwrap();
    let linked = std::thread::scope(|scope| {
        let unlinked = scope.spawn(|| root(&scene.claim).unlink(name("one"), Unlink::File));
        while !scene.layer.has_seen(Call::Unlink) {
            std::thread::yield_now();
        }
        let linked = scope.spawn(|| root(&scene.claim).link(name("two"), &*found.file).map(drop));
        // It comes now if it does not wait.
        for _ in 0..10_000 {
            std::thread::yield_now();
        }
        drop(gate);
        assert!(unlinked.join().unwrap().is_ok());
        linked.join().unwrap()
    });
    let scene = killed(scene);
    match linked {
        Ok(()) => assert_eq!(content(&scene.claim, "two"), b"data"),
        Err(error) => assert_eq!(error.errno(), Errno::NOENT),
    }
}

#[test]
fn changes_of_a_file_that_is_gone_are_set_aside() {
    let mut scene = closed();
    for lost in [1, 2] {
        write(&create(&scene.claim, "file"), 0, b"data");
        fs::remove_file(scene.files.path().join("file")).unwrap();
        scene = killed(scene);
        close(&scene, Some(Errno::NOSPC));
        let status = gofer_cache::status(scene.cache.path()).unwrap();
        assert_eq!((status.volumes[0].dirty_files, status.volumes[0].lost_files), (0, lost));
        // So that the next one starts to count anew.
        scene = killed(scene);
        close(&scene, Some(Errno::NOSPC));
    }
}

#[test]
fn opening_can_empty_what_is_not_uploaded() {
    let scene = closed();
    write(&create(&scene.claim, "file"), 0, b"data");
    let how = OpenHow::new(Access::Write).truncate(true);
    let file = walk(&scene.claim, "file").file.open(how).unwrap().file;
    assert_eq!(walk(&scene.claim, "file").stat.size, 0);
    write(&file, 2, b"x");
    assert_eq!(content(&scene.claim, "file"), b"\0\0x");
    close(&scene, None);
    file.sync().unwrap();
    assert_eq!(below(&scene, "file"), b"\0\0x");
}

#[test]
fn fsync_can_be_content_with_the_disk() {
    let mut options = back();
    options.fsync_locally = true;
    let scene = Scene::new(&options);
    close(&scene, Some(Errno::NOSPC));
    let file = create(&scene.claim, "file");
    write(&file, 0, b"data");
    file.sync().unwrap();
    assert_eq!(below(&scene, "file"), b"");
    let scene = killed(scene);
    scene.settle();
    assert_eq!(below(&scene, "file"), b"data");
}

#[test]
fn what_the_backend_lacks_is_not_dropped() {
    let scene = closed();
    write(&create(&scene.claim, "file"), 0, b"data");
    let cache = tempfile::tempdir().unwrap();
    copy(scene.cache.path(), cache.path());
    let error = gofer_cache::drop_all(cache.path(), None, false).unwrap_err().to_string();
    let wanted = "files does not have changes of 1 file that are in the cache; upload them with gofer-volumes cache \
                  flush, or lose them with --lose-changes";
    assert_eq!(error, wanted);
    assert!(gofer_cache::drop_all(cache.path(), None, true).unwrap() > 4);
}

#[test]
fn a_damaged_journal_is_an_error_and_never_other_bytes() {
    let scene = closed();
    let file = create(&scene.claim, "file");
    write(&file, 0, &bytes(1, 10_000));
    let journal = common::stored(scene.cache.path(), "journal").remove(0);
    let mut damaged = fs::read(&journal).unwrap();
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    fs::write(&journal, damaged).unwrap();
    close(&scene, None);
    assert_eq!(error_of(file.sync()), Errno::IO);
    assert_eq!(below(&scene, "file"), b"");
}

#[test]
fn what_went_past_the_disk_of_the_cache_is_synced_by_the_backend() {
    let mut options = back();
    options.fsync_locally = true;
    let scene = Scene::new(&options);
    let file = create(&scene.claim, "file");
    // The backend has this at once, and nothing of what comes next.
    file.allocate(AllocateFlags::empty(), 0, 5000).unwrap();
    close(&scene, Some(Errno::NOSPC));
    scene.layer.take(Call::Sync);
    for syncs in [1, 0] {
        assert_eq!(writes(&file, b"later").unwrap(), 5);
        file.sync().unwrap();
        assert_eq!(scene.layer.take(Call::Sync), syncs);
    }
    close(&scene, None);
}
