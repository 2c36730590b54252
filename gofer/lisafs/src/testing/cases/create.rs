//! New files.

use crate::backend::{Access, Errno, FileType, NO_ID};
use crate::testing::scene::{
    Scene, content, create, created, fails, identity, kind, mkdir, name, names, ok, own, owned, read, rmdir, walk,
    write,
};

pub(in crate::testing) fn a_new_file_is_there(scene: &Scene) {
    let root = scene.root();
    assert_eq!(names(&*root), [""; 0], "the root must be empty at first");
    let made = created(&*root, "file", &own(0o640));
    assert_eq!((kind(&made.found.stat), made.found.stat.size, made.found.stat.nlink), (FileType::Regular, 0, 1));
    let found = walk(&*root, "file");
    assert_eq!(identity(&found.stat), identity(&made.found.stat));
    assert_eq!(identity(&ok(made.opened.file.stat(), "stat")), identity(&made.found.stat));
    assert_eq!(read(&*made.opened.file, 0, 10), b"");
    // Another connection sees it, too.
    assert_eq!(names(&*scene.root()), ["file"]);
}

pub(in crate::testing) fn a_name_is_taken_once(scene: &Scene) {
    let root = scene.root();
    write(&*create(&*root, "file"), 0, b"first");
    mkdir(&*root, "dir");
    for entry in ["file", "dir"] {
        let again = root.create(name(entry), &own(0o600), Access::ReadWrite);
        fails(again, &[Errno::EXIST], "create a name that is taken");
        fails(root.mkdir(name(entry), &own(0o700)), &[Errno::EXIST], "mkdir of a name that is taken");
    }
    assert_eq!(content(&*crate::testing::scene::open(&*walk(&*root, "file").file, Access::Read)), b"first");
    assert_eq!(names(&*root), ["dir", "file"]);
}

pub(in crate::testing) fn directories_are_made_and_removed(scene: &Scene) {
    let root = scene.root();
    let dir = mkdir(&*root, "dir");
    assert_eq!(kind(&ok(dir.stat(), "stat")), FileType::Directory);
    let below = mkdir(&*dir, "below");
    drop(create(&*below, "file"));
    assert_eq!(names(&*walk(&*dir, "below").file), ["file"]);
    fails(rmdir(&*dir, "below"), &[Errno::NOTEMPTY, Errno::EXIST], "rmdir of a directory with a file in it");
    assert_eq!(names(&*below), ["file"], "a call that fails leaves everything as it was");
    ok(crate::testing::scene::unlink(&*below, "file"), "unlink");
    ok(rmdir(&*dir, "below"), "rmdir");
    ok(rmdir(&*root, "dir"), "rmdir");
    assert_eq!(names(&*root), [""; 0]);
}

pub(in crate::testing) fn modes_are_ready_made(scene: &Scene) {
    let root = scene.root();
    for (index, mode) in [0o600, 0o777, 0o4755, 0o1000].into_iter().enumerate() {
        let file = created(&*root, &format!("file-{index}"), &own(mode));
        assert_eq!(file.found.stat.mode & 0o7777, mode, "of a file made with {mode:o}");
        let dir = ok(root.mkdir(name(&format!("dir-{index}")), &own(mode | 0o700)), "mkdir");
        assert_eq!(dir.stat.mode & 0o7777, mode | 0o700, "of a directory made with {mode:o}");
        assert_eq!(walk(&*root, &format!("dir-{index}")).stat.mode & 0o7777, mode | 0o700);
    }
    // The mode of a new file is for others: who makes it has it open.
    write(&*created(&*root, "closed", &own(0)).opened.file, 0, b"x");
}

pub(in crate::testing) fn owners_are_those_asked_for(scene: &Scene) {
    let root = scene.root();
    let stat = created(&*root, "file", &owned(0o644, 4242, 4343)).found.stat;
    assert_eq!((stat.uid, stat.gid), (4242, 4343));
    let stat = ok(root.mkdir(name("dir"), &owned(0o755, 4242, 4343)), "mkdir").stat;
    assert_eq!((stat.uid, stat.gid), (4242, 4343));
    let server = created(&*root, "own", &own(0o644)).found.stat;
    let stat = created(&*root, "half", &owned(0o644, NO_ID, 4343)).found.stat;
    assert_eq!((stat.uid, stat.gid), (server.uid, 4343), "the server's own user");
}

pub(in crate::testing) fn links_lead_where_they_should(scene: &Scene) {
    let root = scene.root();
    for (index, target) in [&b"x"[..], b"/not/there", &[b'\xff'; 1000]].into_iter().enumerate() {
        let entry = format!("link-{index}");
        let link = ok(root.symlink(name(&entry), target, &own(0o777)), "symlink");
        assert_eq!(kind(&link.stat), FileType::Symlink);
        assert_eq!(ok(link.file.read_link(), "read_link"), target);
        assert_eq!(ok(walk(&*root, &entry).file.read_link(), "read_link"), target);
        assert_eq!(link.stat.size, target.len() as u64);
        fails(root.symlink(name(&entry), b"y", &own(0o777)), &[Errno::EXIST], "symlink of a name that is taken");
    }
}

pub(in crate::testing) fn fifos_and_sockets_are_files(scene: &Scene) {
    let root = scene.root();
    for (entry, wanted) in [("fifo", FileType::Fifo), ("socket", FileType::Socket), ("file", FileType::Regular)] {
        let found = ok(root.mknod(name(entry), &own(0o640), wanted, (0, 0)), "mknod");
        assert_eq!((kind(&found.stat), found.stat.mode & 0o7777), (wanted, 0o640), "{entry}");
        assert_eq!(identity(&walk(&*root, entry).stat), identity(&found.stat));
        fails(root.mknod(name(entry), &own(0o640), wanted, (0, 0)), &[Errno::EXIST], "mknod of a name that is taken");
    }
}

pub(in crate::testing) fn devices_have_numbers(scene: &Scene) {
    let root = scene.root();
    for (entry, wanted) in [("character", FileType::CharDevice), ("block", FileType::BlockDevice)] {
        let stat = ok(root.mknod(name(entry), &own(0o600), wanted, (300, 70_000)), "mknod").stat;
        assert_eq!((kind(&stat), stat.rdev_major, stat.rdev_minor), (wanted, 300, 70_000), "{entry}");
    }
}
