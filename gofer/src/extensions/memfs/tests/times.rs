//! Which times change with what.

use super::*;
use lisafs::backend::RenameFlags::{Exchange, Replace};
use lisafs::backend::{AllocateFlags, Mode, XattrFlags};
use lisafs::wire::Timespec;

/// `d` with the file `f`, the directory `e` and the link `l`; `o` with the file `g`.
fn tree() -> Fixture {
    let fixture = Fixture::new();
    fixture.mkdir("d");
    fixture.mkdir("o");
    fixture.mkdir("d/e");
    write(&*fixture.create("d/f"), 0, b"hello").unwrap();
    fixture.create("o/g");
    fixture.walk("d").ok().unwrap().symlink(name("l"), b"f", &own(0)).ok().unwrap();
    fixture
}

/// Which of access, modification and change time differ between the two.
fn changed(before: &Statx, after: &Statx) -> String {
    assert_eq!(before.btime, after.btime);
    let times = [('a', before.atime, after.atime), ('m', before.mtime, after.mtime), ('c', before.ctime, after.ctime)];
    times.iter().filter(|(_, before, after)| before != after).map(|(letter, ..)| letter).collect()
}

/// Does `what` and says what changed of `d`, `o` and the files called `f`, `g`, `e` before.
fn effect(what: impl FnOnce(&Fixture)) -> [String; 5] {
    let fixture = tree();
    let files = ["d", "o", "d/f", "o/g", "d/e"].map(|path| fixture.walk(path).ok().unwrap());
    let before = files.each_ref().map(|file| file.stat().unwrap());
    tick();
    what(&fixture);
    std::array::from_fn(|i| changed(&before[i], &files[i].stat().unwrap()))
}

fn rename(fixture: &Fixture, from: &str, to: &str, flags: lisafs::backend::RenameFlags) {
    let ((old_dir, from), (new_dir, to)) = (fixture.place(from), fixture.place(to));
    old_dir.rename(from, &*new_dir, to, flags).unwrap();
}

#[test]
fn making_a_name_changes_the_directory() {
    let only_dir = ["mc", "", "", "", ""];
    assert_eq!(effect(|t| drop(t.create("d/n"))), only_dir);
    assert_eq!(effect(|t| drop(t.mkdir("d/n"))), only_dir);
    assert_eq!(effect(|t| drop(t.walk("d").unwrap_or_else(|_| panic!()).symlink(name("n"), b"x", &own(0)))), only_dir);
    assert_eq!(effect(|t| drop(t.link("d/n", "o/g"))), ["mc", "", "", "c", ""]);
}

#[test]
fn removing_a_name_changes_the_directory_and_the_file() {
    assert_eq!(effect(|t| t.unlink("d/f").unwrap()), ["mc", "", "c", "", ""]);
    assert_eq!(effect(|t| t.rmdir("d/e").unwrap()), ["mc", "", "", "", "c"]);
}

#[test]
fn renaming_changes_both_directories_and_the_files() {
    assert_eq!(effect(|t| rename(t, "d/f", "d/n", Replace)), ["mc", "", "c", "", ""]);
    assert_eq!(effect(|t| rename(t, "d/f", "o/n", Replace)), ["mc", "mc", "c", "", ""]);
    assert_eq!(effect(|t| rename(t, "d/f", "o/g", Replace)), ["mc", "mc", "c", "c", ""]);
    assert_eq!(effect(|t| rename(t, "d/e", "o/e", Replace)), ["mc", "mc", "", "", "c"]);
    assert_eq!(effect(|t| rename(t, "d/e", "o/g", Exchange)), ["mc", "mc", "", "c", "c"]);
    assert_eq!(effect(|t| rename(t, "d/f", "d/f", Replace)), ["", "", "", "", ""]);
}

#[test]
fn changing_a_file_changes_its_times() {
    let content = ["", "", "mc", "", ""];
    let attributes = ["", "", "c", "", ""];
    let opened = |t: &Fixture| open(&*t.walk("d/f").ok().unwrap(), Access::ReadWrite).ok().unwrap();
    let setting = |change: SetStat| effect(|t| set(&*t.walk("d/f").ok().unwrap(), change).unwrap());
    let none = SetStat::default();
    assert_eq!(effect(|t| assert_eq!(write(&*opened(t), 0, b"x"), Ok(1))), content);
    assert_eq!(effect(|t| assert_eq!(write(&*opened(t), 0, b""), Ok(0))), [""; 5]);
    assert_eq!(effect(|t| opened(t).allocate(AllocateFlags::empty(), 0, 100).unwrap()), content);
    assert_eq!(effect(|t| assert!(opened(t).allocate(AllocateFlags::empty(), 0, 0).is_err())), [""; 5]);
    assert_eq!(setting(none.size(2)), content);
    assert_eq!(setting(none.mode(Mode::new(0o600))), attributes);
    assert_eq!(setting(none.uid(1)), attributes);
    assert_eq!(setting(none.gid(1)), attributes);
    let now = Some(Timespec { sec: 0, nsec: Timespec::UTIME_NOW });
    let omit = Some(Timespec { sec: 0, nsec: Timespec::UTIME_OMIT });
    assert_eq!(setting(none.atime(now)), ["", "", "ac", "", ""]);
    assert_eq!(setting(none.mtime(now).atime(omit)), content);
    assert_eq!(setting(none.mtime(omit).atime(omit)), [""; 5]);
    assert_eq!(
        effect(|t| t.walk("d/f").ok().unwrap().set_xattr(b"user.a", b"", XattrFlags::empty()).unwrap()),
        attributes
    );
    assert_eq!(effect(|t| assert!(t.walk("d/f").ok().unwrap().remove_xattr(b"user.a").is_err())), [""; 5]);
}

#[test]
fn times_are_set_to_the_nanosecond() {
    let fixture = tree();
    let file = fixture.walk("d/f").ok().unwrap();
    let time = |sec, nsec| Some(Timespec { sec, nsec });
    set(&*file, SetStat::new().atime(time(-5, 999_999_999)).mtime(time(1 << 40, 1))).unwrap();
    let stat = file.stat().unwrap();
    assert_eq!((stat.atime.sec, stat.atime.nsec, stat.mtime.sec, stat.mtime.nsec), (-5, 999_999_999, 1 << 40, 1));
    // A size and a time at once: the time counts.
    set(&*file, SetStat::new().size(0).mtime(time(3, 4))).unwrap();
    assert_eq!((file.stat().unwrap().mtime.sec, file.stat().unwrap().size), (3, 0));
}

#[test]
fn reading_counts_once_after_a_change() {
    fn list(dir: &dyn ControlFile) {
        struct Nothing;
        impl lisafs::backend::DirSink for Nothing {
            fn add(&mut self, _: &lisafs::backend::DirEntry<'_>) -> bool {
                true
            }
        }
        open(dir, Access::Read).ok().unwrap().read_dir(0, &mut Nothing).unwrap();
    }
    fn read_some(file: &dyn ControlFile) {
        read(&*open(file, Access::Read).ok().unwrap(), 0, 3).unwrap();
    }
    type Reader = fn(&dyn ControlFile);

    let fixture = tree();
    let readers: [(&str, Reader); 3] =
        [("d/f", read_some), ("d", list), ("d/l", |link| drop(link.read_link().unwrap()))];
    for (path, reader) in readers {
        let file = fixture.walk(path).ok().unwrap();
        for expected in ["a", ""] {
            let before = file.stat().unwrap();
            tick();
            reader(&*file);
            assert_eq!(changed(&before, &file.stat().unwrap()), expected, "{path}");
        }
    }
    // Or after a day.
    let file = fixture.walk("d/f").ok().unwrap();
    let long_ago = Some(Timespec { sec: 1000, nsec: 0 });
    let longer_ago = Some(Timespec { sec: 0, nsec: 0 });
    set(&*file, SetStat::new().atime(long_ago).mtime(longer_ago)).unwrap();
    read_some(&*file);
    assert_ne!(file.stat().unwrap().atime.sec, 1000);
}
