//! What a check finds, and what it accepts.

use super::*;
use crate::record::{Inode, encode};
use crate::{CheckOptions, Report};

const DEEP: CheckOptions =
    CheckOptions { deep: true, repair: false, take_over: false, accept_loss: false, snapshot: None };

fn check(scene: &Scene) -> Report {
    scene.manager().check(&DEEP, &()).unwrap()
}

impl Scene {
    /// What a check of everything finds.
    pub(crate) fn check(&self) -> Vec<String> {
        check(self).problems
    }
}

/// A volume with a bit of everything.
fn full() -> Scene {
    let scene = Scene::hasty();
    let fs = BlobFs::new(scene.open());
    let root = root(&fs);
    let dir = root.mkdir(name("dir"), &new()).unwrap().file;
    create(&dir, "small", b"hello");
    create(&dir, "big", &noise(9 << 20, 7));
    create(&dir, "sparse", b"").opened.file.write_at((&b"x"[..]).into(), 5 << 20).unwrap();
    root.symlink(name("link"), b"to/there", &new()).unwrap();
    root.link(name("hard"), &*dir.walk(name("small")).unwrap().file).unwrap();
    dir.set_xattr(b"user.a", b"value", lisafs::backend::XattrFlags::empty()).unwrap();
    drop((dir, root));
    drop(fs);
    scene
}

/// Writes a record, or removes it.
fn put(scene: &Scene, key: Vec<u8>, value: Option<Vec<u8>>) {
    let opened = scene.open();
    let volume = opened.volume();
    volume.overlay.apply([(key, value)]);
    volume.commits.changed();
    volume.sync().unwrap();
}

fn get<T: serde::de::DeserializeOwned>(scene: &Scene, key: &[u8]) -> T {
    scene.open().volume().get("record", key).unwrap().unwrap()
}

fn ino(scene: &Scene, at: &str) -> u64 {
    let fs = BlobFs::new(scene.open());
    root(&fs).walk(name("dir")).unwrap().file.walk(name(at)).unwrap().stat.ino
}

#[test]
fn sound_volumes_are_clean() {
    let scene = full();
    let report = check(&scene);
    assert_eq!((report.problems, report.files, report.orphans), (Vec::<String>::new(), 6, 0));
    assert!(report.read > 9 << 20);
    // While somebody writes, and after a crash with a file that has no name any more.
    let fs = BlobFs::new(scene.open());
    let created = create(&root(&fs), "f", &noise(1 << 20, 9));
    root(&fs).unlink(name("f"), Unlink::File).unwrap();
    created.opened.file.sync().unwrap();
    for scene in [scene.clone(), scene.crash()] {
        let report = check(&scene);
        assert_eq!((report.problems, report.nameless), (Vec::<String>::new(), 1));
    }
}

#[test]
fn lost_and_damaged_segments_are_found() {
    let whole = full();
    for (wrong, shown) in [("lost", "is missing"), ("cut", "should have"), ("changed", "is not what was written")] {
        let scene = whole.crash();
        let path = scene.segments().remove(0);
        runtime().block_on(async {
            let mut bytes = scene.objects.get(&path).await.unwrap().bytes().await.unwrap().to_vec();
            match wrong {
                "lost" => return scene.objects.delete(&path).await.unwrap(),
                "cut" => bytes.truncate(1000),
                _ => bytes[70] ^= 1,
            }
            scene.objects.put(&path, bytes.into()).await.unwrap();
        });
        let report = check(&scene);
        assert!(report.problems.iter().any(|problem| problem.contains(shown)), "{wrong}: {report:?}");
    }
}

#[test]
fn metadata_that_does_not_fit_together_is_found() {
    let whole = full();
    let (small, sparse) = (ino(&whole, "small"), ino(&whole, "sparse"));
    let changed = |scene: &Scene, ino: u64, change: fn(&mut Inode)| {
        let mut inode: Inode = get(scene, &key::inode(ino));
        change(&mut inode);
        put(scene, key::inode(ino), Some(encode(&inode)));
    };
    type Damage<'a> = Box<dyn Fn(&Scene) + 'a>;
    let damages: [(&str, Damage<'_>); 8] = [
        ("names but has", Box::new(|scene| changed(scene, small, |inode| inode.nlink = 1))),
        ("links but has", Box::new(|scene| changed(scene, 1, |inode| inode.nlink = 7))),
        ("entries but has", Box::new(|scene| changed(scene, 1, |inode| inode.size = 7))),
        ("bytes but holds", Box::new(|scene| changed(scene, sparse, |inode| inode.held = 7))),
        ("data beyond its end", Box::new(|scene| changed(scene, sparse, |inode| inode.size = 7))),
        ("extended attributes", Box::new(|scene| changed(scene, small, |inode| inode.xattrs = 7))),
        ("which does not exist", Box::new(|scene| put(scene, key::inode(sparse), None))),
        ("cannot be read", Box::new(|scene| put(scene, key::inode(sparse), Some(vec![1, 2])))),
    ];
    for (shown, damage) in damages {
        let scene = whole.crash();
        damage(&scene);
        let report = check(&scene);
        assert!(report.problems.iter().any(|problem| problem.contains(shown)), "{shown}: {report:?}");
    }
}

#[test]
fn what_needs_no_guess_is_repaired() {
    let scene = full();
    let segment = key::segment_of(&scene.open().volume().scan(&key::segments(), 1).unwrap().records[0].0).unwrap();
    let segment = key::segment(segment.0, segment.1);
    let mut record: Segment = get(&scene, &segment);
    record.live -= 1;
    put(&scene, segment, Some(encode(&record)));
    // A file that no name leads to.
    let lost = Inode { mode: 0o100_644, nlink: 0, ..Inode::default() };
    put(&scene, key::inode(900_000), Some(encode(&lost)));
    assert!(check(&scene).problems.len() >= 3);
    let options = CheckOptions { repair: true, ..DEEP };
    {
        let _open = scene.open();
        assert!(matches!(scene.manager().check(&options, &()), Err(Error::NoAnswer(_))), "somebody writes");
    }
    let report = scene.manager().check(&options, &()).unwrap();
    assert!(report.repaired.len() >= 2, "{report:?}");
    let left: Vec<_> = report.problems.iter().filter(|problem| !problem.contains("the volume says")).collect();
    assert_eq!(left, Vec::<&String>::new());
}
