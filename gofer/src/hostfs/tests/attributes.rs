//! Setting attributes.

use std::os::unix::fs::{MetadataExt, symlink};

use super::*;
use lisafs::backend::{FileType, Mode, SetStat, SetStatFailure, StatxMask};
use lisafs::wire::Timespec;

fn failure(mask: StatxMask, errno: Errno) -> std::result::Result<(), SetStatFailure> {
    Err(SetStatFailure::new(mask, errno))
}

#[test]
fn everything_is_set_in_an_order_that_keeps_it() {
    let fixture = Fixture::stock();
    let path = fixture.write("f", "content");
    let change = SetStat::new()
        .mode(Mode::new(0o6755))
        .uid(USER)
        .gid(USER + 1)
        .size(3)
        .atime(Timespec { sec: 1, nsec: 2 })
        .mtime(Timespec { sec: -3, nsec: 4 });
    assert_eq!(fixture.walk("f").set_stat(&change), Ok(()));
    let is = std::fs::metadata(&path).unwrap();
    assert_eq!((mode(&path), owner(&path), is.size()), (0o6755, (USER, USER + 1), 3));
    assert_eq!((is.atime(), is.atime_nsec(), is.mtime(), is.mtime_nsec()), (1, 2, -3, 4));
}

#[test]
fn what_is_not_named_stays() {
    let fixture = Fixture::stock();
    let path = fixture.write("f", "content");
    let file = fixture.walk("f");
    let before = file.stat().unwrap();
    assert_eq!(file.set_stat(&SetStat::default()), Ok(()));
    assert_eq!(file.stat(), Ok(before));
    let omit = Timespec { sec: 0, nsec: Timespec::UTIME_OMIT };
    let change = SetStat::new().uid(NO_ID).gid(USER).atime(omit);
    assert_eq!(file.set_stat(&change), Ok(()));
    assert_eq!(owner(&path), (0, USER));
    assert_eq!(file.stat().unwrap().atime, before.atime);
    let now = Timespec { sec: 0, nsec: Timespec::UTIME_NOW };
    assert_eq!(file.set_stat(&SetStat::new().mtime(now)), Ok(()));
    let stat = file.stat().unwrap();
    assert!(stat.mtime.sec >= before.mtime.sec);
    assert_eq!(stat.atime, before.atime);
}

#[test]
fn each_attribute_fails_for_itself() {
    let fixture = Fixture::open();
    symlink("nowhere", fixture.path("l")).unwrap();
    std::fs::create_dir(fixture.path("d")).unwrap();
    let size = SetStat::new().size(0);
    let link = fixture.walk("l");
    let both = size.mode(Mode::new(0o600)).uid(USER);
    assert_eq!(link.set_stat(&both), failure(StatxMask::SIZE | StatxMask::MODE, Errno::LOOP));
    assert_eq!(owner(&fixture.path("l")).0, USER);
    assert_eq!(link.set_stat(&SetStat::new().mode(Mode::new(0))), failure(StatxMask::MODE, Errno::OPNOTSUPP));
    assert_eq!(fixture.walk("d").set_stat(&size), failure(StatxMask::SIZE, Errno::ISDIR));
    let fifo = fixture.root.mknod(name("p"), &own(0o600), FileType::Fifo, (0, 0)).ok().unwrap().file;
    assert_eq!(fifo.set_stat(&size), failure(StatxMask::SIZE, Errno::INVAL));
    let bad = Timespec { sec: 0, nsec: 1_000_000_000 };
    let times = SetStat::new().atime(bad).mtime(bad);
    assert_eq!(fifo.set_stat(&times), failure(StatxMask::ATIME | StatxMask::MTIME, Errno::INVAL));
}

#[test]
fn all_kinds_of_files_take_owner_mode_and_times() {
    let fixture = Fixture::open();
    let time = Some(Timespec { sec: 77, nsec: 0 });
    for (entry, file_type) in
        [("p", FileType::Fifo), ("s", FileType::Socket), ("c", FileType::CharDevice), ("b", FileType::BlockDevice)]
    {
        let file = fixture.root.mknod(name(entry), &own(0o600), file_type, (0, 0)).ok().unwrap().file;
        let change = SetStat::new().mode(Mode::new(0o4711)).uid(USER).mtime(time);
        assert_eq!(file.set_stat(&change), Ok(()));
        let stat = file.stat().unwrap();
        assert_eq!((stat.uid, stat.mtime.sec, stat.mode), (USER, 77, file_type.bits() | 0o4711), "{entry}");
    }
    symlink("nowhere", fixture.path("l")).unwrap();
    let link = fixture.walk("l");
    assert_eq!(link.set_stat(&SetStat::new().mtime(time).atime(time)), Ok(()));
    assert_eq!(link.stat().unwrap().mtime.sec, 77);
}

#[test]
fn nothing_is_left_open_for_writing() {
    let fixture = Fixture::stock();
    let path = fixture.write("f", "content");
    let file = fixture.walk("f");
    let time = Some(Timespec { sec: 77, nsec: 0 });
    assert_eq!(file.set_stat(&SetStat::new().size(5).mtime(time)), Ok(()));
    let open = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    let of_this = open.filter(|entry| std::fs::read_link(entry.path()).is_ok_and(|target| target == path));
    let flags = of_this.map(|entry| {
        let info = std::fs::read_to_string(Path::new("/proc/self/fdinfo").join(entry.file_name())).unwrap();
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap();
        i32::from_str_radix(flags.trim(), 8).unwrap()
    });
    assert!(flags.collect::<Vec<_>>().iter().all(|flags| flags & libc::O_PATH != 0));
}

#[test]
fn set_id_bits_are_not_given_to_the_wrong_owner() {
    let fixture = Fixture::stock();
    let path = fixture.write("f", "");
    std::os::unix::fs::chown(&path, Some(USER), Some(USER)).unwrap();
    as_user(|| {
        let fs = HostFs::open(&path, HostOptions::default()).unwrap();
        let file = fs.attach().ok().unwrap().root.file;
        let change = |mode| SetStat::new().uid(USER + 1).mode(Mode::new(mode));
        assert_eq!(file.set_stat(&change(0o4755)), failure(StatxMask::UID | StatxMask::MODE, Errno::PERM));
        assert_eq!(file.set_stat(&change(0o711)), failure(StatxMask::UID, Errno::PERM));
    });
    assert_eq!((mode(&path), owner(&path)), (0o711, (USER, USER)));
}

#[test]
fn statistics_are_the_file_systems() {
    let fixture = Fixture::stock();
    let stat = fixture.root.stat_fs().unwrap();
    let host = rustix::fs::statfs(fixture.dir.path()).unwrap();
    assert_eq!((stat.kind, stat.blocks, stat.name_length), (host.f_type.cast_unsigned(), host.f_blocks, 255));
    assert_eq!(stat.block_size, host.f_bsize);
}
