//! The directory of a cache: who may look into it, what it takes, and what else is found there.

mod common;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use lisafs::backend::Errno;

use gofer_cache::{AdminError, DirectoryError, Limits, drop_all, status};

use common::{Scene, back, bytes, cached, content, create, exclusive, settle, stored, write};

/// The directory and everything in it.
fn all(directory: &Path) -> Vec<PathBuf> {
    let mut found = vec![directory.to_path_buf()];
    let mut next = 0;
    while let Some(path) = found.get(next) {
        if path.symlink_metadata().unwrap().is_dir() {
            let entries = fs::read_dir(path).unwrap();
            found.extend(entries.map(|entry| entry.unwrap().path()));
        }
        next += 1;
    }
    found
}

#[test]
fn nobody_else_can_look_into_it() {
    let cache = tempfile::tempdir().unwrap();
    fs::set_permissions(cache.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let claim = cached("mem:", cache.path(), "&access=exclusive&write=back");
    let file = create(&claim, "file");
    write(&file, 0, b"data");
    assert_eq!(stored(cache.path(), "journal").len(), 1);
    file.sync().unwrap();
    assert_eq!(content(&claim, "file"), b"data");
    let all = all(cache.path());
    assert!(all.iter().any(|path| path.ends_with("format")) && !stored(cache.path(), "map").is_empty(), "{all:?}");
    for path in all {
        let mode = path.metadata().unwrap().mode();
        assert_eq!(mode & 0o077, 0, "{path:?}: {mode:o}");
    }
}

#[test]
fn it_takes_no_more_than_it_may() {
    const SIZE: u64 = 1 << 20;
    let taken = |cache: &Path| -> u64 {
        all(cache).iter().map(|path| path.symlink_metadata().map_or(0, |stat| stat.blocks() * 512)).sum()
    };
    let scene = Scene::with(&exclusive(), Limits::new(SIZE, Some(0)), false);
    for number in 0..400 {
        scene.put(&number.to_string(), &bytes(number, 100));
        assert_eq!(content(&scene.claim, &number.to_string()), bytes(number, 100));
    }
    assert!(taken(scene.cache.path()) <= SIZE, "{}", taken(scene.cache.path()));
    assert!(stored(scene.cache.path(), "data").len() > 20, "nothing is kept");
    let counted = || {
        let mut bytes = 0;
        let directory = scene.cache.path().canonicalize().unwrap();
        gofer_cache::each_volume(|volume| bytes = if volume.directory == directory { volume.bytes } else { bytes });
        bytes
    };
    assert!(taken(scene.cache.path()) <= counted() && counted() <= SIZE);
    // Who finds it counts as who has made it.
    let before = counted();
    let scene = scene.again(&exclusive());
    let mut after = 0;
    let directory = scene.cache.path().canonicalize().unwrap();
    gofer_cache::each_volume(|volume| after = if volume.directory == directory { volume.bytes } else { after });
    assert_eq!(after, before);
}

#[test]
fn what_does_not_belong_there_is_no_obstacle() {
    let scene = Scene::new(&exclusive());
    scene.put("file", b"data");
    settle(&scene, "file");
    let data = stored(scene.cache.path(), "data")[0].clone();
    let (shard, volumes) = (data.parent().unwrap(), scene.cache.path().join("volumes"));
    fs::create_dir(shard.join("1-2-3.map")).unwrap();
    fs::write(shard.join("1-2-3.map/inside"), "").unwrap();
    fs::create_dir(shard.join("1-2-4.data")).unwrap();
    std::os::unix::fs::symlink("/", shard.join("1-2-5.map")).unwrap();
    fs::write(shard.join("note"), "").unwrap();
    fs::write(shard.parent().unwrap().join("x1"), "").unwrap();
    for stray in ["note", "0123456789abcdef"] {
        fs::write(volumes.join(stray), "").unwrap();
    }
    fs::create_dir(volumes.join("notes")).unwrap();
    let scene = scene.again(&exclusive());
    let misses = scene.counts().misses;
    assert_eq!((content(&scene.claim, "file"), scene.counts().misses), (b"data".to_vec(), misses));
    assert!(!shard.join("1-2-3.map").exists() && !shard.join("1-2-4.data").exists() && shard.join("note").exists());
    assert_eq!(status(scene.cache.path()).unwrap().volumes.len(), 1);
    let Scene { cache, claim, .. } = scene;
    drop(claim);
    assert!(drop_all(cache.path(), None, false).unwrap() > 0);
    assert_eq!(status(cache.path()).unwrap().volumes.len(), 0);
}

#[test]
fn a_cache_that_is_removed_while_it_is_used_is_no_error() {
    for options in [exclusive(), back()] {
        let scene = Scene::new(&options);
        scene.put("file", b"data");
        settle(&scene, "file");
        let early = create(&scene.claim, "early");
        write(&early, 0, b"early");
        fs::remove_dir_all(scene.cache.path()).unwrap();
        assert_eq!(content(&scene.claim, "file"), b"data");
        // What is gone for good need not be synced.
        early.sync().unwrap();
        assert_eq!(common::killed::below(&scene, "early"), b"early");
        let other = create(&scene.claim, "other");
        write(&other, 0, b"more");
        other.sync().unwrap();
        assert_eq!(
            (content(&scene.claim, "other"), common::killed::below(&scene, "other")),
            (b"more".into(), b"more".into())
        );
        assert!(!scene.cache.path().exists(), "it is made anew");
    }
}

#[test]
fn what_is_the_matter_with_it_is_told() {
    let scene = Scene::new(&exclusive());
    let path = scene.cache.path().to_path_buf();
    assert!(matches!(drop_all(&path, None, false), Err(AdminError::InUse { .. })));
    assert!(status(&path).unwrap().problem.is_none());
    fs::write(path.join("format"), "x\n").unwrap();
    assert!(status(&path).unwrap().problem.unwrap().contains("do not empty it"));
    let Scene { cache: _cache, claim, .. } = scene;
    drop(claim);
    let dropped = drop_all(&path, None, true);
    assert!(matches!(dropped, Err(AdminError::Directory(DirectoryError::Damaged { .. }))), "{dropped:?}");
    let plain = tempfile::tempdir().unwrap();
    for other in [plain.path(), &plain.path().join("missing"), &path.join("format")] {
        assert!(matches!(status(other), Err(AdminError::NotACache(_))), "{other:?}");
    }
    assert!(!plain.path().join("missing").exists());
}

#[test]
fn changes_take_no_more_than_there_is_room_for_either() {
    const SIZE: u64 = 1 << 20;
    let scene = Scene::with(&back(), Limits::new(SIZE, Some(0)), false);
    common::killed::close(&scene, Some(Errno::NOSPC));
    for number in 0..400_u64 {
        let file = create(&scene.claim, &number.to_string());
        // What there is no room for is the backend's, which is full.
        if file.write_at((&b"data"[..]).into(), 0).is_ok() {
            assert_eq!(content(&scene.claim, &number.to_string()), b"data");
        }
    }
    let taken = |cache: &Path| -> u64 {
        all(cache).iter().map(|path| path.symlink_metadata().map_or(0, |stat| stat.blocks() * 512)).sum()
    };
    assert!(stored(scene.cache.path(), "journal").len() > 20, "nothing is kept");
    assert!(taken(scene.cache.path()) <= SIZE, "{}", taken(scene.cache.path()));
    common::killed::close(&scene, None);
    scene.settle();
}
