//! Tests on files in memory.

use std::time::{Duration, Instant};

use super::defect::Defect;
use crate::extensions::wrap::testing::{NEW, create, list, list_part, name, open_error, read, root, write};
use lisafs::backend::{
    AllocateFlags, ControlFile, Error, FileType, Mode, NewFile, RenameFlags, SetStat, Unlink, XattrFlags,
};

#[test]
fn calls_fail_as_asked() {
    let root = self::root("fault:mem:?error=ENOSPC@create&error=EACCES@xattr&error=EIO@stat:0");
    assert_eq!(root.create(name("f"), &NEW, lisafs::backend::Access::Read).err(), Some(Error::NOSPC));
    assert_eq!(list(&*root), [""; 0]);
    assert_eq!(root.set_xattr(b"user.a", b"b", XattrFlags::empty()), Err(Error::ACCESS));
    assert_eq!(root.list_xattr().err(), Some(Error::ACCESS));
    assert!(root.stat().is_ok());
    let all = self::root("fault:mem:?error=EIO@*");
    assert_eq!(all.stat().err(), Some(Error::IO));
    let change = SetStat::new().mode(Mode::new(0o700)).size(0);
    let failure = all.set_stat(&change).unwrap_err();
    assert_eq!((failure.error, failure.mask), (Error::IO, change.mask()));
}

#[test]
fn chance_repeats_with_a_seed() {
    let outcomes = |seed| {
        let root = self::root(&format!("fault:mem:?error=EIO@write:0.5&short=write:0.5&seed={seed}"));
        let file = create(&*root, "f");
        (0..200).map(|_| write(&file, &[7; 1000])).collect::<Vec<_>>()
    };
    let first = outcomes(42);
    assert_eq!(first, outcomes(42));
    assert_ne!(first, outcomes(43));
    assert!(first.contains(&Err(Error::IO)) && first.contains(&Ok(1000)));
    let shorts: Vec<usize> = first.into_iter().flatten().filter(|count| *count < 1000).collect();
    assert!(shorts.len() > 10 && shorts.iter().all(|count| *count > 0), "{shorts:?}");
}

#[test]
fn reads_are_short() {
    let root = self::root("fault:mem:?short=read&seed=1");
    let file = create(&*root, "f");
    write(&file, &[1; 4096]).unwrap();
    let count = read(&file).unwrap().len();
    assert!((1..4096).contains(&count));
    // One byte cannot be fewer.
    assert_eq!(file.read_at((&mut [0_u8][..]).into(), 0), Ok(1));
}

#[test]
fn latencies_add_up() {
    let root = self::root("fault:mem:?latency=3ms&latency=4ms@walk&latency=100s@unlink");
    let started = Instant::now();
    let _ = root.walk(name("f"));
    assert!((Duration::from_millis(7)..Duration::from_secs(100)).contains(&started.elapsed()));
}

#[test]
fn wrappers_nest() {
    let root = self::root("stats:fault:fault:mem:size=1m?error=EIO@sync?error=EPERM@mkdir");
    assert_eq!(root.mkdir(name("d"), &NEW).err(), Some(Error::PERM));
    assert_eq!(create(&*root, "f").sync(), Err(Error::IO));
    let file = root.walk(name("f")).ok().unwrap().file;
    root.link(name("g"), &*file).ok().unwrap();
    root.rename(name("g"), &*root, name("h"), RenameFlags::Replace).unwrap();
    assert_eq!(file.stat().unwrap().nlink, 2);
    assert_eq!(open_error("fault:mem:?latecy=1ms"), {
        "fault: unknown parameter \"latecy\"; known are latency=, error=, short=, exit=, defect= and seed="
    });
    assert!(open_error("fault:?latency=1ms").contains("no BACKEND after the colon"));
}

/// A root with this defect.
fn with(defect: &str) -> lisafs::backend::ControlBox {
    root(&format!("fault:mem:?defect={defect}"))
}

fn set(file: &dyn ControlFile, change: SetStat) {
    file.set_stat(&change).unwrap();
}

#[test]
fn attributes_are_wrong() {
    let linked = |root: &dyn ControlFile| {
        create(root, "f");
        let file = root.walk(name("f")).ok().unwrap().file;
        root.link(name("g"), &*file).ok().unwrap().stat
    };
    assert_eq!(linked(&*with("wrong-nlink")).nlink, 1);
    assert_eq!(linked(&*with("wrong-nlink:0")).nlink, 2);
    assert_eq!(linked(&*with("wrong-size")).size, 1);
    assert_eq!(linked(&*with("wrong-mode")).mode & 0o777, 0o641);
    assert_eq!(linked(&*with("zero-ino")).ino, 0);
    assert_eq!(linked(&*with("stale-stat")).nlink, 1);
    let times = linked(&*with("coarse-times"));
    assert!(times.mtime.sec > 0 && (times.mtime.nsec, times.ctime.nsec) == (0, 0));
    let new = NewFile::new(NEW.mode, 4711, NEW.gid);
    assert_eq!(with("wrong-owner:0").mkdir(name("d"), &new).ok().unwrap().stat.uid, 4711);
    assert_ne!(with("wrong-owner").mkdir(name("d"), &new).ok().unwrap().stat.uid, 4711);
}

#[test]
fn changes_are_lost() {
    let root = with("lost-write&defect=lost-truncate&defect=lost-unlink&defect=lost-xattr");
    let file = create(&*root, "f");
    assert_eq!(write(&file, b"hello"), Ok(5));
    assert_eq!(read(&file).unwrap(), b"");
    let found = root.walk(name("f")).ok().unwrap().file;
    set(&*found, SetStat::new().size(9).mode(Mode::new(0o600)));
    let stat = found.stat().unwrap();
    assert_eq!((stat.size, stat.mode & 0o777), (0, 0o600));
    root.unlink(name("f"), Unlink::File).unwrap();
    assert_eq!(list(&*root), ["f"]);
    found.set_xattr(b"user.a", b"b", XattrFlags::empty()).unwrap();
    assert_eq!(found.get_xattr(b"user.a").err(), Some(Error::NODATA));
}

#[test]
fn more_changes_are_lost() {
    let root = with("lost-mode&defect=lost-owner&defect=lost-times&defect=lost-rename&defect=lost-removexattr");
    create(&*root, "f");
    let found = root.walk(name("f")).ok().unwrap().file;
    let before = found.stat().unwrap();
    let time = lisafs::wire::Timespec { sec: 7, nsec: 0 };
    let change = SetStat::new().mode(Mode::new(0)).uid(4711).atime(time).mtime(time);
    set(&*found, change);
    let after = found.stat().unwrap();
    assert_eq!((after.mode, after.uid, after.mtime), (before.mode, before.uid, before.mtime));
    root.rename(name("f"), &*root, name("g"), RenameFlags::Replace).unwrap();
    assert_eq!(list(&*root), ["f"]);
    root.set_xattr(b"user.a", b"b", XattrFlags::empty()).unwrap();
    root.remove_xattr(b"user.a").unwrap();
    assert_eq!(root.get_xattr(b"user.a").unwrap(), b"b");
    let root = with("lost-allocate&defect=lost-special-bits&defect=wide-mode");
    let file = create(&*root, "f");
    file.allocate(AllocateFlags::empty(), 0, 100).unwrap();
    assert_eq!(file.stat().unwrap().size, 0);
    let made = root.mkdir(name("d"), &NewFile::new(Mode::new(0o1700), NEW.uid, NEW.gid)).ok().unwrap();
    assert_eq!(made.stat.mode & 0o7777, 0o766);
}

#[test]
fn more_attributes_are_wrong() {
    let root = with("changing-ino&defect=wrong-blocks&defect=frozen-times&defect=wrong-statfs&defect=missing-xattr");
    let file = create(&*root, "f");
    let found = root.walk(name("f")).ok().unwrap().file;
    let before = found.stat().unwrap();
    write(&file, &[1; 10_000]).unwrap();
    let after = found.stat().unwrap();
    assert_ne!(after.ino, before.ino);
    assert_eq!((after.blocks, after.size, after.mtime), (0, 10_000, before.mtime));
    let space = root.stat_fs().unwrap();
    assert!(space.blocks_free > space.blocks);
    root.set_xattr(b"user.a", b"b", XattrFlags::empty()).unwrap();
    assert_eq!(root.list_xattr().unwrap().len(), 0);
    let device = with("wrong-device").mknod(name("n"), &NEW, FileType::CharDevice, (1, 3)).ok().unwrap();
    assert_eq!((device.stat.rdev_major, device.stat.rdev_minor), (1, 4));
    let root = with("wrong-dirent-ino");
    create(&*root, "f");
    let ino = root.walk(name("f")).ok().unwrap().stat.ino;
    assert_eq!(list_part(&*root, 0, 9).inos, [ino + 1]);
}

#[test]
fn data_is_wrong() {
    let written = |defect: &str| {
        let file = create(&*with(defect), "f");
        assert_eq!(write(&file, b"hello"), Ok(5));
        assert_eq!(file.write_at(b"end"[..].into(), 8), Ok(3));
        read(&file).unwrap()
    };
    assert_eq!(written("garbled-read:0"), b"hello\0\0\0end");
    assert_eq!(written("garbled-read"), b"hello\0\0\0en?");
    assert_eq!(written("garbled-write"), b"hell?\0\0\0en?");
    assert_eq!(written("shifted-write"), b"\0hello\0\0\0end");
    assert_eq!(written("dirty-holes"), b"hello???end");
}

#[test]
fn calls_do_other_things() {
    let root = with("ignored-excl&defect=copied-links&defect=swallowed-errors");
    write(&create(&*root, "f"), b"first").unwrap();
    let again = create(&*root, "f");
    assert_eq!(read(&again).unwrap(), b"first");
    let target = root.walk(name("f")).ok().unwrap();
    let linked = root.link(name("g"), &*target.file).ok().unwrap();
    assert_ne!(linked.stat.ino, target.stat.ino);
    assert_eq!((linked.stat.size, list(&*root).len()), (5, 2));
    assert_eq!(root.unlink(name("none"), Unlink::File), Ok(()));
}

#[test]
fn answers_are_wrong() {
    let root = with("wrong-errno&defect=cut-link&defect=cut-xattr");
    root.set_xattr(b"user.a", b"value", XattrFlags::empty()).unwrap();
    assert_eq!(root.get_xattr(b"user.a").unwrap(), b"valu");
    let link = root.symlink(name("l"), b"target", &NEW).ok().unwrap().file;
    assert_eq!(link.read_link().unwrap(), b"targe");
    assert_eq!(root.mkdir(name("l"), &NEW).err(), Some(Error::IO));
    assert_eq!(root.walk(name("m")).err(), Some(Error::NOENT));
}

#[test]
fn renames_are_wrong() {
    let rename = |defect, flags| {
        let root = with(defect);
        create(&*root, "a");
        create(&*root, "b");
        root.rename(name("a"), &*root, name("b"), flags)
    };
    assert_eq!(rename("no-rename-replace", RenameFlags::Replace), Err(Error::EXIST));
    assert_eq!(rename("no-rename-replace", RenameFlags::Exchange), Ok(()));
    assert_eq!(rename("rename-over", RenameFlags::NoReplace), Ok(()));
    assert_eq!(rename("rename-over:0", RenameFlags::NoReplace), Err(Error::EXIST));
}

#[test]
fn listings_are_wrong() {
    let filled = |defect: &str| {
        let root = with(defect);
        for index in 0..9 {
            create(&*root, &format!("f{index}"));
        }
        root
    };
    let sorted = |mut names: Vec<String>| {
        names.sort();
        names
    };
    let all = sorted(list(&*filled("zero-ino:0")));
    assert_eq!(all.len(), 9);
    assert_eq!(list(&*filled("missing-dirent")).len(), 8);
    let twice = list(&*filled("duplicate-dirent"));
    assert_eq!((twice.len(), &twice[0]), (10, &twice[1]));
    assert!(list_part(&*filled("zero-ino"), 0, 99).inos.iter().all(|ino| *ino == 0));
    // All are there, but positions are not where they should be.
    let root = filled("reordered-readdir");
    assert_eq!(sorted(list(&*root)), all);
    let first = list_part(&*root, 0, 2);
    let rest = list_part(&*root, first.next, 99);
    assert!(first.names.contains(&rest.names[0]) || first.names.contains(&rest.names[1]));
    // One that does not fit in is not the end of a listing.
    let root = filled("duplicate-dirent");
    let first = list_part(&*root, 0, 1);
    let rest = list_part(&*root, first.next, 99);
    assert_eq!(sorted([first.names, rest.names].concat()), all);
}

#[test]
fn nobody_waits_for_ever() {
    assert!(open_error("fault:mem:?latency=18000000000000000000s").contains("not a duration"));
}

/// The first case of the suite for authors of backends that fails.
fn failure(backend: &str) -> Option<&'static str> {
    use lisafs::testing::{Capabilities, Subject, failures};
    failures(Capabilities::all(), || Subject::shared(crate::extensions::wrap::testing::open(backend).backend)).next()
}

#[test]
fn the_suite_for_authors_finds_each_defect() {
    for defect in Defect::ALL {
        let found = failure(&format!("fault:mem:special?defect={}&seed=1", defect.name()));
        assert!(found.is_some(), "{} is found by no case", defect.name());
    }
    for other in ["short=read", "short=write", "error=EIO@sync", "error=EIO@stat"] {
        assert!(failure(&format!("fault:mem:special?{other}")).is_some(), "{other} is found by no case");
    }
    assert_eq!(failure("fault:mem:special?defect=lost-write:0"), None);
}
