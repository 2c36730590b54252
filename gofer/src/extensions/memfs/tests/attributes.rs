//! Owners, modes, identity.

use super::*;
use lisafs::backend::{Backend, Mode, SetStatFailure, StatxMask};
use lisafs::wire::Timespec;

#[test]
fn the_root_is_as_the_options_say() {
    let fixture = Fixture::with("mode=1750,uid=7,gid=8");
    let stat = fixture.root.stat().unwrap();
    assert_eq!((stat.mode, stat.uid, stat.gid, stat.nlink, stat.ino), (0o041_750, 7, 8, 2, 1));
    assert!(!fixture.fs.options().read_only && !fixture.fs.options().tree_locks);
    assert!(Fixture::with("ro").fs.options().read_only);
}

#[test]
fn new_files_belong_to_whom_they_are_made_for() {
    let fixture = Fixture::with("uid=7,gid=8");
    let new = NewFile::new(Mode::new(0o6751), 9, NO_ID);
    let stat = fixture.root.create(name("f"), &new, Access::Read).ok().unwrap().found.stat;
    assert_eq!((stat.mode, stat.uid, stat.gid, stat.nlink), (0o106_751, 9, 8, 1));
    let stat = fixture.root.mkdir(name("d"), &NewFile::new(new.mode, NO_ID, 9)).ok().unwrap().stat;
    assert_eq!((stat.mode, stat.uid, stat.gid, stat.nlink), (0o046_751, 7, 9, 2));
}

#[test]
fn numbers_are_never_used_again() {
    let fixture = Fixture::new();
    let mut seen = std::collections::HashSet::from([1]);
    for _ in 0..100 {
        fixture.create("f");
        assert!(seen.insert(fixture.stat("f").ino));
        fixture.unlink("f").unwrap();
    }
    let (one, other) = (fixture.root.stat().unwrap(), Fixture::new().root.stat().unwrap());
    assert_ne!((one.dev_major, one.dev_minor), (other.dev_major, other.dev_minor));
}

#[test]
fn a_change_of_owner_clears_set_id_bits() {
    let fixture = Fixture::new();
    let made = |mode: u16| {
        let created = fixture.root.create(name("f"), &own(mode), Access::Read).ok().unwrap();
        fixture.unlink("f").unwrap();
        created.found.file
    };
    let change = SetStat::new().uid(5);
    for (before, after) in [(0o6755, 0o755), (0o6745, 0o2745), (0o1644, 0o1644)] {
        let file = made(before);
        set(&*file, change).unwrap();
        assert_eq!(file.stat().unwrap().mode, 0o100_000 | after, "{before:o}");
        assert_eq!(file.stat().unwrap().uid, 5);
    }
    // Unless they are set with it.
    let file = made(0);
    set(&*file, change.mode(Mode::new(0o6755)).gid(3)).unwrap();
    assert_eq!(file.stat().unwrap().mode, 0o106_755);
    let dir = fixture.root.mkdir(name("d"), &own(0o2775)).ok().unwrap().file;
    set(&*dir, change).unwrap();
    assert_eq!(dir.stat().unwrap().mode, 0o042_775);
}

#[test]
fn what_cannot_be_set_is_named_and_the_rest_is_set() {
    let fixture = Fixture::new();
    let link = fixture.root.symlink(name("l"), b"x", &own(0)).ok().unwrap().file;
    let change = SetStat::new()
        .mode(Mode::new(0))
        .uid(5)
        .size(0)
        .atime(Timespec { sec: 7, nsec: 0 })
        .mtime(Timespec { sec: 0, nsec: -5 });
    let mask = StatxMask::MODE | StatxMask::SIZE | StatxMask::MTIME;
    assert_eq!(link.set_stat(&change), Err(SetStatFailure::new(mask, Error::LOOP)));
    let stat = link.stat().unwrap();
    assert_eq!((stat.uid, stat.mode, stat.atime.sec), (5, 0o120_777, 7));
    assert_eq!(set_size(&*fixture.root, 0), Err(Error::ISDIR));
    assert_eq!(set(&*link, SetStat::new().uid(NO_ID).gid(NO_ID)), Ok(()));
    assert_eq!(link.stat(), Ok(stat));
}
