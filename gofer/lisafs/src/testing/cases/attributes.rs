//! Attributes.

use crate::backend::{Access, Errno, Mode, SetStat, StatxMask, Timespec};
use crate::testing::Capability;
use crate::testing::scene::{Scene, content, create, created, how, mkdir, name, ok, own, set, walk, write};

fn time(sec: i64, nsec: u32) -> Option<Timespec> {
    Some(Timespec { sec, nsec: nsec.into() })
}

pub(in crate::testing) fn they_are_as_they_are_now(scene: &Scene) {
    let root = scene.root();
    let file = create(&*root, "file");
    let control = walk(&*root, "file").file;
    for len in 1..4 {
        write(&*file, len - 1, b"x");
        assert_eq!(ok(control.stat(), "stat").size, len);
        assert_eq!(ok(file.stat(), "stat").size, len);
        assert_eq!(walk(&*root, "file").stat.size, len);
    }
}

pub(in crate::testing) fn modes_are_set(scene: &Scene) {
    let root = scene.root();
    drop(create(&*root, "file"));
    mkdir(&*root, "dir");
    for entry in ["file", "dir"] {
        let control = walk(&*root, entry);
        for mode in [0o700, 0o1777, 0o644, 0o4711] {
            let change = SetStat::new().mode(Mode::new(mode));
            ok(set(&*control.file, change), "set_stat of a mode");
            let now = ok(control.file.stat(), "stat").mode;
            assert_eq!(now & 0o7777, mode, "{entry}");
            assert_eq!(now & 0o170_000, control.stat.mode & 0o170_000, "the type never changes");
        }
    }
    let control = walk(&*root, "file").file;
    let before = ok(control.stat(), "stat");
    ok(set(&*control, SetStat::new()), "set_stat of nothing");
    assert_eq!(ok(control.stat(), "stat"), before);
}

pub(in crate::testing) fn owners_are_set(scene: &Scene) {
    let root = scene.root();
    let control = created(&*root, "file", &own(0o755)).found.file;
    let before = ok(control.stat(), "stat");
    ok(set(&*control, SetStat::new().gid(4343)), "set_stat of a group");
    let stat = ok(control.stat(), "stat");
    assert_eq!((stat.uid, stat.gid), (before.uid, 4343));
    let all = SetStat::new().uid(4242).gid(1).mode(Mode::new(0o4755));
    ok(set(&*control, all), "set_stat of owner and mode");
    let stat = ok(control.stat(), "stat");
    assert_eq!(
        (stat.uid, stat.gid, stat.mode & 0o7777),
        (4242, 1, 0o4755),
        "the owner first, which clears set-id bits"
    );
}

pub(in crate::testing) fn times_are_set_to_the_nanosecond(scene: &Scene) {
    let root = scene.root();
    drop(create(&*root, "file"));
    mkdir(&*root, "dir");
    for entry in ["file", "dir"] {
        let control = walk(&*root, entry).file;
        let both = SetStat::new().atime(time(1_000, 1)).mtime(time(2_000, 999_999_999));
        ok(set(&*control, both), "set_stat of times");
        let one = both.atime(time(3_000, 5)).mtime(Timespec { sec: 0, nsec: Timespec::UTIME_OMIT });
        ok(set(&*control, one), "set_stat of the time of access");
        let stat = ok(control.stat(), "stat");
        let times = [(stat.atime.sec, stat.atime.nsec), (stat.mtime.sec, stat.mtime.nsec)];
        assert_eq!(times, [(3_000, 5), (2_000, 999_999_999)], "{entry}");
        let now = SetStat::new().mtime(Timespec { sec: 0, nsec: Timespec::UTIME_NOW });
        ok(set(&*control, now), "set_stat of the present time");
        assert!(ok(control.stat(), "stat").mtime.sec > 1_000_000_000, "{entry}");
    }
}

pub(in crate::testing) fn a_write_moves_the_times(scene: &Scene) {
    let root = scene.root();
    let file = create(&*root, "file");
    write(&*file, 0, b"hello");
    let control = walk(&*root, "file").file;
    let old = SetStat::new().atime(time(1_000, 0)).mtime(time(1_000, 0));
    ok(set(&*control, old), "set_stat of times");
    write(&*file, 0, b"H");
    assert_ne!(ok(control.stat(), "stat").mtime.sec, 1_000, "a write is a change of the content");
    let dir = mkdir(&*root, "dir");
    ok(set(&*dir, old), "set_stat of times");
    drop(create(&*dir, "new"));
    assert_ne!(ok(dir.stat(), "stat").mtime.sec, 1_000, "a new name is a change of the directory");
}

pub(in crate::testing) fn reading_can_leave_the_times(scene: &Scene) {
    let root = scene.root();
    write(&*create(&*root, "file"), 0, b"hello");
    let control = walk(&*root, "file").file;
    // Older than the last change, so that any other read would move it.
    let old = SetStat::new().atime(time(1_000, 0));
    ok(set(&*control, old), "set_stat of the time of access");
    let opened = ok(control.open(how(Access::Read, false, true)), "open with O_NOATIME").file;
    assert_eq!(content(&*opened), b"hello");
    assert_eq!(ok(control.stat(), "stat").atime.sec, 1_000, "with O_NOATIME");
}

pub(in crate::testing) fn what_cannot_be_set_is_named(scene: &Scene) {
    let root = scene.root();
    let dir = mkdir(&*root, "dir");
    let change = SetStat::new().size(0).mode(Mode::new(0o711));
    match dir.set_stat(&change) {
        Ok(()) => panic!("a directory was given a size"),
        Err(failure) => {
            assert_eq!(failure.mask, StatxMask::SIZE, "the rest can be set");
            let errno = failure.error.errno();
            assert!([Errno::ISDIR, Errno::INVAL].contains(&errno), "{errno:?}");
        }
    }
    assert_eq!(ok(dir.stat(), "stat").mode & 0o7777, 0o711, "what can be set is");
    if scene.can(Capability::SymbolicLinks) {
        let link = ok(root.symlink(name("link"), b"x", &own(0o777)), "symlink").file;
        let failure = link.set_stat(&SetStat::new().size(0));
        assert_eq!(failure.map_err(|failure| failure.mask), Err(StatxMask::SIZE));
    }
}

pub(in crate::testing) fn there_is_no_more_free_than_there_is(scene: &Scene) {
    let stat = ok(scene.root().stat_fs(), "stat_fs");
    assert!(stat.block_size > 0, "{stat:?}");
    assert!(stat.blocks_free <= stat.blocks && stat.blocks_available <= stat.blocks, "{stat:?}");
    assert!(stat.files_free <= stat.files, "{stat:?}");
}
