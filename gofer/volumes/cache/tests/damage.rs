//! A cache that is damaged, full, or gone.

mod common;

use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt};

use gofer_cache::{Limits, Options};

use common::{Scene, bytes, content, create, exclusive, stored, strict, write};

const LEN: usize = 700_000;

/// What happens to a file of a cache.
type Damage = fn(&fs::File);

/// A cache with two files in it, before a new process.
fn warm() -> Scene {
    let scene = Scene::new(&exclusive());
    for (seed, entry) in [(1, "one"), (2, "two")] {
        scene.put(entry, &bytes(seed, LEN));
        content(&scene.claim, entry);
    }
    scene
}

fn is_right(scene: &Scene) {
    for (seed, entry) in [(1, "one"), (2, "two")] {
        assert!(content(&scene.claim, entry) == bytes(seed, LEN), "{entry}");
    }
}

#[test]
fn damage_is_a_miss() {
    let damages: [(&str, Damage); 6] = [
        ("data", |file| file.write_all_at(b"damage", 70_000).unwrap()),
        ("data", |file| file.write_all_at(&[0; LEN], 0).unwrap()),
        ("data", |file| file.set_len(1000).unwrap()),
        ("map", |file| file.write_all_at(&[0x55; 600], 0).unwrap()),
        ("map", |file| file.write_all_at(&[0x55; 40], 512).unwrap()),
        ("map", |file| file.set_len(100).unwrap()),
    ];
    for (index, (ending, damage)) in damages.into_iter().enumerate() {
        let scene = warm();
        let paths = stored(scene.cache.path(), ending);
        assert_eq!(paths.len(), 2);
        let Scene { files, cache, layer, claim } = scene;
        drop(claim);
        for path in paths {
            damage(&fs::File::options().write(true).open(path).unwrap());
        }
        let scene = Scene { claim: common::open("mem:"), files, cache, layer }.again(&exclusive());
        is_right(&scene);
        assert!(scene.counts().misses > 0, "damage {index}");
        is_right(&scene);
    }
}

#[test]
fn data_of_another_file_is_a_miss() {
    let scene = warm();
    let paths = stored(scene.cache.path(), "data");
    let Scene { files, cache, layer, claim } = scene;
    drop(claim);
    let aside = paths[0].with_extension("aside");
    for (from, to) in [(&paths[0], &aside), (&paths[1], &paths[0]), (&aside, &paths[1])] {
        fs::rename(from, to).unwrap();
    }
    let scene = Scene { claim: common::open("mem:"), files, cache, layer }.again(&exclusive());
    is_right(&scene);
    assert!(scene.counts().damaged > 0);
}

#[test]
fn halves_are_removed_at_the_start() {
    let scene = warm();
    let (data, map) = (stored(scene.cache.path(), "data"), stored(scene.cache.path(), "map"));
    let Scene { files, cache, layer, claim } = scene;
    drop(claim);
    fs::remove_file(&data[0]).unwrap();
    fs::remove_file(&map[1]).unwrap();
    let scene = Scene { claim: common::open("mem:"), files, cache, layer }.again(&exclusive());
    assert_eq!(stored(scene.cache.path(), "data").len() + stored(scene.cache.path(), "map").len(), 0);
    is_right(&scene);
}

#[test]
fn a_directory_that_is_gone_is_no_error() {
    for options in [exclusive(), strict()] {
        let scene = Scene::new(&options);
        scene.put("one", &bytes(1, LEN));
        let volumes = scene.cache.path().join("volumes");
        fs::remove_dir_all(&volumes).unwrap();
        fs::write(&volumes, "in the way").unwrap();
        let file = create(&scene.claim, "two");
        write(&file, 0, &bytes(2, LEN));
        is_right(&scene);
        is_right(&scene);
        assert!(scene.counts().failures > 0);
    }
}

/// Bytes that files take on the disk.
fn taken(scene: &Scene) -> u64 {
    ["data", "map"]
        .iter()
        .flat_map(|ending| stored(scene.cache.path(), ending))
        .map(|path| path.metadata().unwrap().blocks() * 512)
        .sum()
}

#[test]
fn a_cache_never_takes_more_than_it_may() {
    const MIB: u64 = 1 << 20;
    let scene = Scene::with(&exclusive(), Limits::new(3 * MIB, Some(0)), false);
    scene.put("large", &bytes(7, 9 << 20));
    for round in 0..2 {
        assert!(content(&scene.claim, "large") == bytes(7, 9 << 20));
        for number in 0..20 {
            let entry = format!("file-{number}");
            if round == 0 {
                scene.put(&entry, &bytes(number, 300_000));
            }
            assert!(content(&scene.claim, &entry) == bytes(number, 300_000), "{entry}");
            assert!(taken(&scene) <= 3 * MIB, "{}", taken(&scene));
        }
    }
    assert!(taken(&scene) > MIB, "it is used all the same");
    assert!(scene.counts().evictions > 0);
    // A smaller one at the next start.
    let Scene { files, cache, layer, claim } = scene;
    drop(claim);
    let inner = common::open(files.path().to_str().unwrap());
    let small = gofer_cache::CacheFs::open(inner, "files", cache.path(), Limits::new(MIB, Some(0)), Options::default());
    let claim = gofer::extension::Claim::new(std::sync::Arc::new(small.unwrap()));
    assert!(taken(&Scene { files, cache, layer, claim }) <= MIB);
}

#[test]
fn a_disk_without_room_is_left_alone() {
    let scene = Scene::with(&exclusive(), Limits::new(1 << 30, Some(u64::MAX)), false);
    scene.put("one", &bytes(1, LEN));
    write(&create(&scene.claim, "two"), 0, &bytes(2, LEN));
    is_right(&scene);
    assert_eq!(taken(&scene), 0);
    assert!(scene.counts().refused > 0 && scene.counts().failures == 0);
}
