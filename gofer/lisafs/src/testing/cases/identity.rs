//! Which files are the same.

use std::collections::HashSet;

use crate::backend::{Access, Errno, RenameFlags};
use crate::testing::scene::{
    Scene, content, create, fails, identity, list, mkdir, name, ok, open, rename, unlink, walk, write,
};

pub(in crate::testing) fn numbers_tell_files_apart(scene: &Scene) {
    let root = scene.root();
    let dir = mkdir(&*root, "dir");
    let files: Vec<_> = (0..20).map(|number| create(&*dir, &format!("file-{number}"))).collect();
    let mut seen = HashSet::from([identity(&ok(root.stat(), "stat")), identity(&ok(dir.stat(), "stat"))]);
    for (number, file) in files.iter().enumerate() {
        let stat = ok(file.stat(), "stat");
        assert_ne!(stat.ino, 0);
        assert!(seen.insert(identity(&stat)), "two files have the same numbers");
        for _ in 0..2 {
            assert_eq!(identity(&walk(&*dir, &format!("file-{number}")).stat), identity(&stat));
            assert_eq!(identity(&ok(file.stat(), "stat")), identity(&stat), "numbers stay");
        }
    }
    for entry in list(&*dir) {
        assert!(seen.contains(&entry.identity), "{entry:?}");
    }
    // Even one whose name is gone.
    let gone = identity(&ok(files[0].stat(), "stat"));
    ok(unlink(&*dir, "file-0"), "unlink");
    for number in 0..20 {
        let new = create(&*dir, &format!("new-{number}"));
        assert_ne!(identity(&ok(new.stat(), "stat")), gone, "the numbers of a file that is still open are taken");
    }
}

pub(in crate::testing) fn a_rename_keeps_the_file(scene: &Scene) {
    let root = scene.root();
    let dir = mkdir(&*root, "dir");
    write(&*create(&*root, "file"), 0, b"content");
    let control = walk(&*root, "file");
    ok(rename((&*root, "file"), (&*dir, "moved"), RenameFlags::Replace), "rename");
    let moved = walk(&*dir, "moved");
    assert_eq!(identity(&moved.stat), identity(&control.stat));
    assert_eq!(identity(&ok(control.file.stat(), "stat")), identity(&control.stat), "a control file follows");
    assert_eq!(content(&*open(&*control.file, Access::Read)), b"content");
}

pub(in crate::testing) fn hard_links_are_one_file(scene: &Scene) {
    let root = scene.root();
    let dir = mkdir(&*root, "dir");
    let file = create(&*root, "file");
    let control = walk(&*root, "file");
    let link = ok(dir.link(name("link"), &*control.file), "link");
    assert_eq!((link.stat.nlink, identity(&link.stat)), (2, identity(&control.stat)));
    assert_eq!(ok(control.file.stat(), "stat").nlink, 2);
    write(&*file, 0, b"shared");
    assert_eq!(content(&*open(&*walk(&*dir, "link").file, Access::Read)), b"shared");
    fails(dir.link(name("link"), &*control.file), &[Errno::EXIST], "link to a name that is taken");
    fails(dir.link(name("other"), &*dir), &[Errno::PERM, Errno::ISDIR], "link of a directory");
    ok(unlink(&*root, "file"), "unlink");
    assert_eq!(walk(&*dir, "link").stat.nlink, 1);
    assert_eq!(content(&*open(&*walk(&*dir, "link").file, Access::Read)), b"shared");
}
