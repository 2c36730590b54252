//! Clones: nothing is copied, nothing is shared, nothing is lost.

use super::*;

fn at(scene: &Scene, prefix: &'static str) -> Scene {
    Scene { prefix, ..scene.clone() }
}

/// A new volume.
fn make(scene: &Scene) -> BlobFs {
    let mut made = scene.clone();
    made.location.options.create = true;
    BlobFs::new(made.open())
}

/// A volume with nothing in it, and a clone of it.
fn parent_and_clone(scene: &Scene) -> (Scene, Scene) {
    let (parent, child) = (at(scene, "parent"), at(scene, "child"));
    drop(make(&parent));
    parent.manager().clone_in(&child.store(), None, false).unwrap();
    (parent, child)
}

fn collect(scene: &Scene) -> crate::Collected {
    scene.manager().collect(false).unwrap().unwrap()
}

#[test]
fn clones_go_their_own_ways() {
    let scene = Scene::hasty();
    let (parent, child, grandchild) = (at(&scene, "parent"), at(&scene, "child"), at(&scene, "a/grandchild"));
    let big = noise(300_000, 1);
    {
        let fs = make(&parent);
        create(&root(&fs), "big", &big);
        create(&root(&fs), "small", b"small");
    }
    let objects = scene.segments_in("parent");
    parent.manager().clone_in(&child.store(), None, false).unwrap();
    assert_eq!(scene.segments_in("child"), [], "nothing is copied");
    {
        let fs = BlobFs::new(child.open());
        assert!(read(&root(&fs), "big") == Ok(big.clone()));
        create(&root(&fs), "of the child", &noise(200_000, 2));
    }
    child.manager().snapshot("kept", false).unwrap();
    child.manager().clone_in(&grandchild.store(), Some("kept"), false).unwrap();
    assert!(matches!(child.manager().clone_in(&grandchild.store(), None, false), Err(Error::Exists(_))));

    // The parent and the child lose all they have.
    for (volume, names) in [(&parent, &["big", "small"][..]), (&child, &["big", "small", "of the child"])] {
        let fs = BlobFs::new(volume.open());
        for it in names {
            root(&fs).unlink(name(it), Unlink::File).unwrap();
        }
    }
    assert_eq!((collect(&parent).kept, collect(&child).kept), (1, 1));
    assert_eq!(scene.segments_in("parent"), objects);
    {
        let fs = BlobFs::new(grandchild.open());
        assert!(read(&root(&fs), "big") == Ok(big.clone()));
        assert!(read(&root(&fs), "of the child") == Ok(noise(200_000, 2)));
        assert_eq!(read(&root(&fs), "small"), Ok(b"small".to_vec()));
        let file = root(&fs).walk(name("big")).unwrap().file.open(OpenHow::new(Access::ReadWrite)).unwrap();
        file.file.write_at((&b"other"[..]).into(), 100_000).unwrap();
    }
    for volume in [&parent, &child, &grandchild] {
        assert_eq!(volume.check(), Vec::<String>::new());
    }
    let usage = grandchild.manager().usage().unwrap();
    assert_eq!((usage.files, usage.content), (4, 500_005));
    assert!(usage.borrowed > 400_000 && usage.segments.live > 60_000, "{usage:?}");
    collect(&grandchild);
    {
        let fs = BlobFs::new(grandchild.open());
        let mut changed = big.clone();
        changed[100_000..100_005].copy_from_slice(b"other");
        assert!(read(&root(&fs), "big") == Ok(changed));
    }

    // When the clones are gone, so is what they needed.
    scene.remove("a/grandchild");
    child.manager().delete_snapshot("kept").unwrap();
    assert_eq!((collect(&child).deleted, collect(&parent).kept), (1, 1));
    scene.remove("child");
    assert_eq!((collect(&parent).deleted, scene.segments_in("parent")), (1, vec![]));
}

#[test]
fn clones_are_made_beside_their_parents() {
    let parent = at(&Scene::new(), "parent");
    Opened::create_in(&parent.store(), &parent.location).unwrap();
    let elsewhere = Location::parse("file:///somewhere").unwrap();
    let refused = parent.manager().clone_to(&elsewhere, None, false);
    assert!(matches!(refused, Err(Error::NotBeside { .. })), "{refused:?}");
}

impl Scene {
    fn segments_in(&self, prefix: &str) -> Vec<object_store::path::Path> {
        let objects =
            runtime().block_on(self.objects.list(Some(&format!("{prefix}/data").into())).try_collect::<Vec<_>>());
        objects.unwrap().into_iter().map(|object| object.location).collect()
    }

    fn remove(&self, prefix: &str) {
        runtime().block_on(async {
            let objects: Vec<_> = self.objects.list(Some(&prefix.into())).try_collect().await.unwrap();
            for object in objects {
                self.objects.delete(&object.location).await.unwrap();
            }
        });
    }
}

#[test]
fn a_clone_that_is_deleted_is_found_while_somebody_writes() {
    let scene = Scene::hasty();
    let (parent, _) = parent_and_clone(&scene);
    let fs = BlobFs::new(parent.open());
    let clones = || {
        let all = parent.manager().snapshots().unwrap();
        all.iter().filter(|it| it.kind == crate::SnapshotKind::Clone).count()
    };
    assert_eq!(clones(), 1);
    scene.remove("child");
    assert_eq!(parent.manager().collect(false).unwrap(), None, "it is asked of the process that writes");
    assert_eq!(clones(), 0);
    drop(fs);
}

#[test]
fn a_clone_without_its_parent_says_so() {
    let scene = Scene::hasty();
    let (_, child) = parent_and_clone(&scene);
    runtime().block_on(scene.objects.delete(&"parent/blob.json".into())).unwrap();
    let error = child.try_open().err().unwrap().to_string();
    assert!(error.contains("it is a clone of parent, which is not there any more"), "{error}");
}

#[test]
fn no_volume_is_among_the_objects_of_another() {
    let scene = Scene::new();
    let outer = at(&scene, "outer");
    let make = |scene: &Scene| Opened::create_in(&scene.store(), &scene.location);
    make(&outer).unwrap();
    for inner in ["outer/data/aa", "outer/meta", "outer/probe/x"] {
        assert!(matches!(make(&at(&scene, inner)), Err(Error::Inside { .. })), "{inner}");
    }
    for beside in ["outer/other", "data/aa"] {
        make(&at(&scene, beside)).unwrap();
    }
    let directory = tempfile::tempdir().unwrap();
    let create = |path: &str| {
        let url = format!("file://{}/{path}?create", directory.path().display());
        Opened::create(&Location::parse(&url).unwrap())
    };
    create("outer").unwrap();
    assert!(matches!(create("outer/data/aa"), Err(Error::Inside { .. })));
    assert!(matches!(create("outer/meta"), Err(Error::Inside { .. } | Error::Foreign { .. })));
    create("data").unwrap();
}
