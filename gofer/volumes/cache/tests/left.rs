//! Changes that a process has left on the disk of the cache, and that cannot be uploaded as they are.

mod common;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use gofer::extension::Claim;
use gofer::extensions::wrap::{Call, Wrapped};
use gofer_cache::{AdminError, CacheFs, Limits, OpenError, Options};
use lisafs::backend::{Access, Errno};
use tempfile::TempDir;

use common::killed::{below, closed, copy, error_of};
use common::{
    Counting, Scene, back, content, create, exclusive, open, open_before, open_file, read, stored, strict, walk, write,
};

fn by_path() -> Options {
    let mut options = exclusive();
    options.recovers_by_path = true;
    options
}

/// What a process leaves that is killed now.
fn copied(scene: &Scene) -> TempDir {
    let cache = tempfile::tempdir().unwrap();
    copy(scene.cache.path(), cache.path());
    cache
}

/// How many journals are set aside, and how many others there are.
fn journals(cache: &Path) -> (u64, u64) {
    let status = gofer_cache::status(cache).unwrap();
    (status.volumes[0].lost_files, status.volumes[0].dirty_files)
}

fn try_next(files: &Path, cache: &Path, options: &Options) -> Result<CacheFs, OpenError> {
    open_before(&open(files.to_str().unwrap()), cache, options, Limits::new(1 << 30, Some(0)))
}

/// Has another process upload what it can, and ends it.
fn next(files: &Path, cache: &Path, options: &Options) {
    let volume = Claim::new(Arc::new(try_next(files, cache, options).unwrap()));
    volume.backend.detach();
}

/// Empties a cache, once its last process has ended.
fn dropped(cache: &Path) -> Result<u64, AdminError> {
    loop {
        match gofer_cache::drop_all(cache, None, false) {
            Err(AdminError::InUse { .. }) => std::thread::yield_now(),
            ended => return ended,
        }
    }
}

#[test]
fn changes_are_for_one_directory() {
    let scene = closed();
    write(&create(&scene.claim, "file"), 0, b"data");
    let cache = copied(&scene);
    // As a mountpoint on which nothing is mounted.
    let elsewhere = tempfile::tempdir().unwrap();
    for options in [back(), exclusive(), strict()] {
        let refusal = try_next(elsewhere.path(), cache.path(), &options).err().unwrap().to_string();
        assert!(refusal.contains("another directory than the one that the changes in the cache are for"), "{refusal}");
    }
    assert_eq!(journals(cache.path()), (0, 1));
    next(scene.files.path(), cache.path(), &back());
    assert_eq!((below(&scene, "file"), journals(cache.path())), (b"data".to_vec(), (0, 0)));
    // Without changes, it may be any directory.
    next(elsewhere.path(), cache.path(), &back());
}

#[test]
fn a_restored_backend_gets_changes_by_path() {
    let scene = closed();
    scene.put("old", b"0123456789");
    write(&create(&scene.claim, "new"), 0, b"data");
    write(&open_file(&scene.claim, "old", Access::Write), 2, b"xy");
    let (cache, restored) = (copied(&scene), tempfile::tempdir().unwrap());
    copy(scene.files.path(), restored.path());
    next(restored.path(), cache.path(), &by_path());
    assert_eq!(fs::read(restored.path().join("new")).unwrap(), b"data");
    assert_eq!(fs::read(restored.path().join("old")).unwrap(), b"01xy456789");
    assert_eq!(journals(cache.path()), (0, 0));
}

#[test]
fn what_is_set_aside_is_dropped_on_demand_only_and_can_be_had_by_path() {
    let scene = closed();
    write(&create(&scene.claim, "file"), 0, b"data");
    let cache = copied(&scene);
    fs::rename(scene.files.path().join("file"), scene.files.path().join("moved")).unwrap();
    next(scene.files.path(), cache.path(), &back());
    scene.put("file", b"another");
    for _ in 0..2 {
        assert_eq!(journals(cache.path()), (1, 0));
        let error = dropped(cache.path()).unwrap_err().to_string();
        assert!(error.ends_with("--by-path, or lose them with --lose-changes"), "{error}");
        next(scene.files.path(), cache.path(), &back());
    }
    assert_eq!(below(&scene, "file"), b"another");
    next(scene.files.path(), cache.path(), &by_path());
    assert_eq!((below(&scene, "file"), below(&scene, "moved")), (b"data".to_vec(), Vec::new()));
    assert_eq!(journals(cache.path()), (0, 0));
    dropped(cache.path()).unwrap();
}

#[test]
fn files_that_are_gone_can_be_made_again() {
    let scene = closed();
    scene.put("old", b"0123456789");
    write(&create(&scene.claim, "new"), 0, b"data");
    write(&open_file(&scene.claim, "old", Access::Write), 2, b"xy");
    let cache = copied(&scene);
    for entry in ["new", "old"] {
        fs::remove_file(scene.files.path().join(entry)).unwrap();
    }
    next(scene.files.path(), cache.path(), &back());
    assert_eq!((journals(cache.path()), scene.files.path().read_dir().unwrap().count()), ((2, 0), 0));
    next(scene.files.path(), cache.path(), &by_path());
    // Of the other, only a part is known.
    assert_eq!((journals(cache.path()), below(&scene, "new")), ((1, 0), b"data".to_vec()));
    assert!(!scene.files.path().join("old").exists());
}

#[test]
fn a_damaged_journal_is_never_removed() {
    const LEN: usize = 20;
    let scene = closed();
    let file = create(&scene.claim, "file");
    for record in 0..5 {
        write(&file, record * 20, &[b'a' + u8::try_from(record).unwrap(); LEN]);
    }
    let whole = fs::read(stored(scene.cache.path(), "journal").remove(0)).unwrap();
    let data_of = |letter| whole.windows(LEN).position(|bytes| bytes == [letter; LEN]).unwrap();
    // In the header, in records, and in the length of one.
    for (at, wanted) in [(0, 0), (10, 0), (30, 0), (data_of(b'c'), 40), (data_of(b'c') - 28, 40), (data_of(b'e'), 80)] {
        let cache = copied(&scene);
        let mut damaged = whole.clone();
        damaged[at] ^= 0x40;
        fs::write(stored(cache.path(), "journal").remove(0), &damaged).unwrap();
        fs::write(scene.files.path().join("file"), "").unwrap();
        next(scene.files.path(), cache.path(), &exclusive());
        // What was written before that is uploaded.
        assert_eq!((below(&scene, "file").len(), journals(cache.path())), (wanted, (1, 0)), "{at}");
        assert_eq!(fs::read(stored(cache.path(), "lost").remove(0)).unwrap(), damaged, "{at}");
        // A part of it would come over what is newer.
        next(scene.files.path(), cache.path(), &by_path());
        assert_eq!(journals(cache.path()), (1, 0), "{at}");
    }
}

#[test]
fn damaged_changes_are_not_read() {
    let scene = closed();
    let file = create(&scene.claim, "file");
    write(&file, 0, b"good");
    write(&file, 10, b"bad");
    let journal = stored(scene.cache.path(), "journal").remove(0);
    let mut damaged = fs::read(&journal).unwrap();
    *damaged.last_mut().unwrap() ^= 1;
    fs::write(&journal, damaged).unwrap();
    assert_eq!(read(&file, 0, 10), b"good\0\0\0\0\0\0");
    assert_eq!(error_of(file.read_at((&mut [0; 3][..]).into(), 10)), Errno::IO);
}

/// Another process, whose backend refuses something.
fn refusing(scene: &Scene, cache: &Path, options: &Options, call: Call) -> (Arc<Counting>, Claim) {
    let wrapped = Wrapped::new(open(scene.files.path().to_str().unwrap()), Counting::default());
    let layer = wrapped.layer().clone();
    *layer.refused.lock().unwrap() = Some((call, Errno::ACCESS));
    let inner = Claim::new(Arc::new(wrapped));
    let volume = open_before(&inner, cache, options, Limits::new(1 << 30, Some(0))).unwrap();
    (layer, Claim::new(Arc::new(volume)))
}

#[test]
fn a_volume_is_served_although_changes_cannot_be_uploaded() {
    let scene = closed();
    write(&create(&scene.claim, "file"), 0, b"data");
    for (call, options) in [(Call::Write, back()), (Call::Write, exclusive()), (Call::Open, back())] {
        let cache = copied(&scene);
        fs::write(scene.files.path().join("file"), "").unwrap();
        let (layer, volume) = refusing(&scene, cache.path(), &options, call);
        assert_eq!(walk(&volume, "file").stat.size, 4);
        if call == Call::Write {
            assert_eq!(content(&volume, "file"), b"data");
        }
        assert_eq!((below(&scene, "file"), journals(cache.path())), (Vec::new(), (0, 1)));
        *layer.refused.lock().unwrap() = None;
        let start = std::time::Instant::now();
        while journals(cache.path()) != (0, 0) {
            assert!(start.elapsed().as_secs() < 30, "it is never uploaded");
            volume.backend.detach();
        }
        assert_eq!(below(&scene, "file"), b"data");
    }
}

#[test]
fn a_path_that_cannot_be_walked_keeps_its_changes() {
    let scene = closed();
    write(&create(&scene.claim, "file"), 0, b"data");
    let cache = copied(&scene);
    drop(refusing(&scene, cache.path(), &back(), Call::Walk));
    assert_eq!(journals(cache.path()), (0, 1));
    next(scene.files.path(), cache.path(), &back());
    assert_eq!((below(&scene, "file"), journals(cache.path())), (b"data".to_vec(), (0, 0)));
}

#[test]
fn what_writes_through_does_so_after_what_has_written_back() {
    let scene = Scene::new(&back());
    let file = create(&scene.claim, "file");
    write(&file, 0, b"back");
    file.sync().unwrap();
    drop(file);
    for options in [exclusive(), strict()] {
        let (cache, wanted) = (copied(&scene), b"thru");
        fs::write(scene.files.path().join("file"), "back").unwrap();
        let volume = Claim::new(Arc::new(try_next(scene.files.path(), cache.path(), &options).unwrap()));
        write(&open_file(&volume, "file", Access::Write), 0, wanted);
        assert_eq!((below(&scene, "file"), journals(cache.path())), (wanted.to_vec(), (0, 0)));
    }
}
