//! Names that go, and files that stay.

use crate::backend::{Access, Errno, Mode, SetStat};
use crate::testing::scene::{
    Scene, content, create, fails, identity, list, mkdir, name, names, ok, open, own, rmdir, set, unlink, walk, write,
};

pub(in crate::testing) fn what_is_gone_is_gone(scene: &Scene) {
    let root = scene.root();
    drop(create(&*root, "file"));
    ok(unlink(&*root, "file"), "unlink");
    fails(root.walk(name("file")), &[Errno::NOENT], "walk to what was removed");
    fails(unlink(&*root, "file"), &[Errno::NOENT], "unlink of what was removed");
    fails(rmdir(&*root, "file"), &[Errno::NOENT], "rmdir of what was removed");
    assert_eq!(names(&*root), [""; 0]);
    // The name is free.
    drop(create(&*root, "file"));
    assert_eq!(walk(&*root, "file").stat.size, 0);
}

pub(in crate::testing) fn the_wrong_kind_is_refused(scene: &Scene) {
    let root = scene.root();
    drop(create(&*root, "file"));
    mkdir(&*root, "dir");
    fails(rmdir(&*root, "file"), &[Errno::NOTDIR], "rmdir of a file");
    fails(unlink(&*root, "dir"), &[Errno::ISDIR, Errno::PERM], "unlink of a directory");
    assert_eq!(names(&*root), ["dir", "file"]);
}

pub(in crate::testing) fn an_unlinked_file_lives_on(scene: &Scene) {
    let root = scene.root();
    let file = create(&*root, "file");
    write(&*file, 0, b"hello");
    let control = walk(&*root, "file");
    ok(unlink(&*root, "file"), "unlink");
    let other = create(&*root, "file");
    assert_ne!(identity(&ok(other.stat(), "stat")), identity(&control.stat), "it is another file");
    write(&*file, 5, b" there");
    assert_eq!((content(&*file), content(&*other)), (b"hello there".to_vec(), Vec::new()));
    // By the position, too.
    let stat = ok(control.file.stat(), "stat");
    assert_eq!((identity(&stat), stat.nlink, stat.size), (identity(&control.stat), 0, 11));
    let change = SetStat::new().size(5).mode(Mode::new(0o600));
    ok(set(&*control.file, change), "set_stat");
    assert_eq!(content(&*open(&*control.file, Access::Read)), b"hello");
    assert_eq!(ok(file.stat(), "stat").mode & 0o7777, 0o600);
}

pub(in crate::testing) fn a_removed_directory_takes_nothing(scene: &Scene) {
    let root = scene.root();
    let dir = mkdir(&*root, "dir");
    ok(rmdir(&*root, "dir"), "rmdir");
    fails(dir.walk(name("x")), &[Errno::NOENT], "walk from a directory that was removed");
    fails(dir.create(name("x"), &own(0o600), Access::Read), &[Errno::NOENT], "create in a directory that was removed");
    fails(dir.mkdir(name("x"), &own(0o700)), &[Errno::NOENT], "mkdir in a directory that was removed");
    // Nothing may come to the directory that has its name now.
    let new = mkdir(&*root, "dir");
    assert_eq!(list(&*new), []);
    assert_ne!(identity(&ok(new.stat(), "stat")), identity(&ok(dir.stat(), "stat")));
}
