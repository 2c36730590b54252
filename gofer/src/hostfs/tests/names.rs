//! Walking, and what changes names.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;

use super::*;
use lisafs::backend::{Error, FileType, Mode, RenameFlags, Statx, StatxMask, Unlink, XattrFlags};

/// The sizes of what a walk of `path` from the root visits.
fn walk_stat(fixture: &Fixture, path: &[&str]) -> Result<Vec<Statx>> {
    let mut visited = Vec::new();
    let mut names = path.iter().map(|step| name(step));
    fixture.root.walk_stat(&mut names, &mut |stat| visited.push(stat))?;
    Ok(visited)
}

#[test]
fn a_walk_finds_files_without_allocating_boxes() {
    let fixture = Fixture::stock();
    fixture.write("f", "hello");
    let found = fixture.root.walk(name("f")).ok().unwrap();
    assert_eq!((found.stat.size, found.stat.file_type()), (5, Some(FileType::Regular)));
    assert!(found.stat.mask.contains(StatxMask::BASIC_STATS));
    assert_eq!((found.stat.attributes, found.stat.attributes_mask), (0, 0));
    assert_eq!(found.file.stat(), Ok(found.stat));
    assert!(!found.file.is_heap());
    assert!(!open(&*found.file, Access::Read).ok().unwrap().file.is_heap());
    assert!(!open(&*fixture.root, Access::Read).ok().unwrap().file.is_heap());
}

#[test]
fn a_walk_that_finds_nothing_says_why() {
    let fixture = Fixture::stock();
    fixture.write("f", "");
    symlink("f", fixture.path("l")).unwrap();
    assert_eq!(error(fixture.root.walk(name("nope"))), Some(Errno::NOENT));
    assert_eq!(error(fixture.walk("f").walk(name("x"))), Some(Errno::NOTDIR));
    assert_eq!(error(fixture.walk("l").walk(name("x"))), Some(Errno::NOTDIR));
    assert_eq!(error(fixture.root.walk(name(&"n".repeat(256)))), Some(Errno::NAMETOOLONG));
}

#[test]
fn names_are_arbitrary_bytes() {
    let fixture = Fixture::stock();
    for bytes in [&[b'n'; 255][..], b"\xff\xfe", b"new\nline", b"-rf", b"..."] {
        let name = Name::new(bytes).unwrap();
        drop(fixture.root.create(name, &own(0o600), Access::Read).ok().unwrap());
        assert!(exists(&fixture.dir.path().join(OsStr::from_bytes(bytes))));
        assert!(fixture.root.walk(name).is_ok());
        assert_eq!(fixture.root.unlink(name, Unlink::File), Ok(()));
    }
}

#[test]
fn a_walk_never_leaves_by_a_symbolic_link() {
    let fixture = Fixture::stock();
    std::fs::create_dir(fixture.path("d")).unwrap();
    symlink("/etc", fixture.path("d/l")).unwrap();
    symlink("/etc/passwd", fixture.path("f")).unwrap();
    let link = fixture.walk("d/l");
    assert_eq!(link.stat().unwrap().file_type(), Some(FileType::Symlink));
    assert_eq!(error(link.walk(name("passwd"))), Some(Errno::NOTDIR));
    assert_eq!(walk_stat(&fixture, &["d", "l", "passwd"]).unwrap().len(), 2);
    assert_eq!(error(open(&*fixture.walk("f"), Access::Read)), Some(Errno::INVAL));
    assert_eq!(error(link.create(name("x"), &own(0o644), Access::Read)), Some(Errno::NOTDIR));
    // Creating over a link that leads nowhere does not create what it leads to.
    symlink(fixture.path("elsewhere"), fixture.path("dangling")).unwrap();
    assert_eq!(error(fixture.root.create(name("dangling"), &own(0o644), Access::Write)), Some(Errno::EXIST));
    assert!(!exists(&fixture.path("elsewhere")));
}

#[test]
fn what_is_held_stays_the_same_when_names_are_swapped() {
    let fixture = Fixture::stock();
    std::fs::create_dir(fixture.path("d")).unwrap();
    fixture.write("d/f", "right");
    let (dir, file) = (fixture.walk("d"), fixture.walk("d/f"));
    std::fs::rename(fixture.path("d"), fixture.path("old")).unwrap();
    symlink("/etc", fixture.path("d")).unwrap();
    fixture.write("old/passwd", "harmless");
    assert_eq!(dir.walk(name("passwd")).ok().unwrap().stat.size, 8);
    assert_eq!(file.stat().unwrap().size, 5);
    assert!(dir.mkdir(name("new"), &own(0o755)).is_ok());
    assert!(exists(&fixture.path("old/new")));
}

#[test]
fn a_walk_for_attributes_stops_quietly() {
    let fixture = Fixture::stock();
    std::fs::create_dir_all(fixture.path("a/b")).unwrap();
    fixture.write("a/b/f", "four");
    symlink("a", fixture.path("l")).unwrap();
    let count = |path: &[&str]| walk_stat(&fixture, path).map(|visited| visited.len());
    assert_eq!(count(&[]), Ok(0));
    assert_eq!(count(&["a", "b", "f"]), Ok(3));
    assert_eq!(count(&["a", "nope", "f"]), Ok(1));
    assert_eq!(count(&["l", "b"]), Ok(1));
    assert_eq!(count(&["a", "b", "f", "x"]), Err(Error::NOTDIR));
    assert_eq!(walk_stat(&fixture, &["a", "b", "f"]).unwrap().last(), Some(&fixture.walk("a/b/f").stat().unwrap()));
}

#[test]
fn renaming_a_name_to_itself_looks_whether_it_is_there() {
    let fixture = Fixture::stock();
    fixture.write("f", "");
    let rename = |entry, flags| fixture.root.rename(name(entry), &*fixture.root, name(entry), flags);
    assert_eq!(rename("f", RenameFlags::Replace), Ok(()));
    assert_eq!(rename("f", RenameFlags::NoReplace), Err(Error::EXIST));
    assert_eq!(rename("nope", RenameFlags::Replace), Err(Error::NOENT));
}

#[test]
fn a_deleted_file_still_works() {
    let fixture = Fixture::stock();
    let path = fixture.write("f", "content");
    let file = fixture.walk("f");
    std::fs::remove_file(path).unwrap();
    assert_eq!(file.stat().unwrap().nlink, 0);
    assert_eq!(file.set_stat(&lisafs::backend::SetStat::new().mode(Mode::new(0o604)).size(3)), Ok(()));
    let opened = open(&*file, Access::ReadWrite).ok().unwrap();
    let stat = opened.file.stat().unwrap();
    assert_eq!((stat.size, stat.mode), (3, 0o100_604));
    file.set_xattr(b"user.a", b"1", XattrFlags::empty()).unwrap();
    assert_eq!(file.get_xattr(b"user.a"), Ok(b"1".to_vec()));
    assert!(file.stat_fs().is_ok());
    assert_eq!(error(fixture.root.link(name("again"), &*file)), Some(Errno::NOENT));
}

#[test]
fn a_file_that_lost_one_of_its_names_still_works() {
    let fixture = Fixture::stock();
    let path = fixture.write("f", "content");
    let file = fixture.walk("f");
    std::fs::hard_link(&path, fixture.path("g")).unwrap();
    std::fs::remove_file(path).unwrap();
    // Whatever is under the old name now has nothing to do with it.
    symlink("/etc/passwd", fixture.path("f")).unwrap();
    file.set_xattr(b"user.a", b"1", XattrFlags::empty()).unwrap();
    assert_eq!(fixture.walk("g").get_xattr(b"user.a"), Ok(b"1".to_vec()));
    let linked = fixture.root.link(name("h"), &*file).ok().unwrap();
    assert_eq!((linked.stat.nlink, linked.stat.ino), (2, file.stat().unwrap().ino));
}

#[test]
fn another_backends_files_are_refused() {
    struct Alien;
    impl ControlFile for Alien {
        fn stat(&self) -> Result<Statx> {
            Err(Error::IO)
        }
        fn walk(&self, _: Name<'_>) -> Result<lisafs::backend::Found> {
            Err(Error::IO)
        }
        fn open(&self, _: OpenHow) -> Result<Opened> {
            Err(Error::IO)
        }
    }
    let fixture = Fixture::stock();
    fixture.write("f", "");
    assert_eq!(error(fixture.root.link(name("l"), &Alien)), Some(Errno::XDEV));
    assert_eq!(fixture.root.rename(name("f"), &Alien, name("f"), RenameFlags::Replace), Err(Error::XDEV));
}
