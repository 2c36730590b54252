//! Making, linking and removing names.

use super::*;
use lisafs::backend::{DirEntry, DirSink, FileType, XattrFlags};

#[test]
fn a_name_is_given_once() {
    let fixture = Fixture::new();
    fixture.create("f");
    fixture.mkdir("d");
    for taken in ["f", "d"] {
        let taken = name(taken);
        assert_eq!(error(fixture.root.create(taken, &own(0), Access::Read)), Some(Error::EXIST));
        assert_eq!(error(fixture.root.mkdir(taken, &own(0))), Some(Error::EXIST));
        assert_eq!(error(fixture.root.mknod(taken, &own(0), FileType::Fifo, (0, 0))), Some(Error::EXIST));
        assert_eq!(error(fixture.root.symlink(taken, b"x", &own(0))), Some(Error::EXIST));
        assert_eq!(error(fixture.root.link(taken, &*fixture.walk("f").ok().unwrap())), Some(Error::EXIST));
    }
    assert_eq!(fixture.used(), (0, 3));
    assert_eq!(error(fixture.walk("x")), Some(Error::NOENT));
    assert_eq!(error(fixture.walk("f/x")), Some(Error::NOTDIR));
}

#[test]
fn names_have_a_longest_length() {
    let fixture = Fixture::new();
    let (longest, too_long) = ("n".repeat(255), "n".repeat(256));
    fixture.create(&longest);
    assert!(fixture.walk(&longest).is_ok());
    let refused = Some(Error::NAMETOOLONG);
    assert_eq!(error(fixture.walk(&too_long)), refused);
    assert_eq!(error(fixture.root.create(name(&too_long), &own(0), Access::Read)), refused);
    assert_eq!(error(fixture.root.mkdir(name(&too_long), &own(0))), refused);
    assert_eq!(error(fixture.unlink(&too_long)), refused);
    assert_eq!(error(fixture.link(&too_long, &longest)), refused);
    assert_eq!(fixture.root.stat_fs().unwrap().name_length, 255);
}

#[test]
fn links_count() {
    let fixture = Fixture::new();
    let file = fixture.create("f");
    fixture.mkdir("d");
    assert_eq!(fixture.link("d/g", "f").ok().unwrap().stat.nlink, 2);
    assert_eq!(fixture.stat("d/g").ino, fixture.stat("f").ino);
    assert_eq!(error(fixture.link("e", "d")), Some(Error::PERM));
    assert_eq!(fixture.used().1, 4);
    fixture.unlink("f").unwrap();
    assert_eq!((file.stat().unwrap().nlink, fixture.used().1), (1, 3));
    fixture.unlink("d/g").unwrap();
    assert_eq!(file.stat().unwrap().nlink, 0);
    drop(file);
    assert_eq!(fixture.used().1, 2);
}

#[test]
fn a_file_without_a_name_can_be_used() {
    let fixture = Fixture::new();
    let file = fixture.create("f");
    let control = fixture.walk("f").ok().unwrap();
    fixture.unlink("f").unwrap();
    assert_eq!(write(&*file, 0, b"hello"), Ok(5));
    assert_eq!(set_size(&*control, 3), Ok(()));
    assert_eq!(read(&*open(&*control, Access::Read).ok().unwrap(), 0, 9), Ok(b"hel".to_vec()));
    control.set_xattr(b"user.a", b"1", XattrFlags::empty()).unwrap();
    assert_eq!(error(fixture.root.link(name("g"), &*control)), Some(Error::NOENT));
    assert!(fixture.used().0 > 0);
    drop((file, control));
    assert_eq!(fixture.used(), (0, 1));
}

#[test]
fn directories_count_their_directories() {
    let fixture = Fixture::new();
    fixture.mkdir("d");
    fixture.mkdir("d/e");
    fixture.mkdir("d/f");
    fixture.create("d/g");
    assert_eq!(fixture.stat("d").nlink, 4);
    assert_eq!(fixture.root.stat().unwrap().nlink, 3);
    fixture.rmdir("d/e").unwrap();
    assert_eq!(fixture.stat("d").nlink, 3);
}

#[test]
fn nothing_is_made_in_a_removed_directory() {
    let fixture = Fixture::new();
    fixture.create("f");
    let dir = fixture.mkdir("d");
    fixture.rmdir("d").unwrap();
    let gone = Some(Error::NOENT);
    assert_eq!(error(dir.create(name("x"), &own(0), Access::Read)), gone);
    assert_eq!(error(dir.mkdir(name("x"), &own(0))), gone);
    assert_eq!(error(dir.link(name("x"), &*fixture.walk("f").ok().unwrap())), gone);
    assert_eq!(error(dir.walk(name("x"))), gone);
    assert_eq!(dir.stat().unwrap().nlink, 0);
    drop(dir);
    assert_eq!(fixture.used(), (0, 2));
}

#[test]
fn paths_are_looked_at_step_by_step() {
    let fixture = Fixture::new();
    fixture.mkdir("d");
    fixture.create("d/f");
    fixture.root.symlink(name("l"), b"d", &own(0)).ok().unwrap();
    let look = |path: &str| {
        let mut seen = Vec::new();
        let result = fixture.root.walk_stat(&mut path.split('/').map(name), &mut |stat| seen.push(stat.ino));
        (result, seen)
    };
    let ino = |path: &str| fixture.stat(path).ino;
    assert_eq!(look("d/f"), (Ok(()), vec![ino("d"), ino("d/f")]));
    assert_eq!(look("d/x/y"), (Ok(()), vec![ino("d")]));
    assert_eq!(look("l/f"), (Ok(()), vec![ino("l")]));
    assert_eq!(look("d/f/x"), (Err(Error::NOTDIR), vec![ino("d"), ino("d/f")]));
}

#[test]
fn file_systems_do_not_share_files() {
    let (one, other) = (Fixture::new(), Fixture::new());
    one.create("f");
    let file = one.walk("f").ok().unwrap();
    assert_eq!(error(other.root.link(name("g"), &*file)), Some(Error::XDEV));
    let flags = lisafs::backend::RenameFlags::Replace;
    assert_eq!(one.root.rename(name("f"), &*other.root, name("f"), flags), Err(Error::XDEV));
    // Two connections on one do.
    let again = one.fs.attach().ok().unwrap().root.file;
    assert_eq!(again.walk(name("f")).ok().unwrap().stat, file.stat().unwrap());
    assert!(again.link(name("g"), &*file).is_ok());
}

#[test]
fn a_removed_directory_is_not_listed() {
    struct Nothing;
    impl DirSink for Nothing {
        fn add(&mut self, entry: &DirEntry<'_>) -> bool {
            panic!("{:?} is listed", entry.name)
        }
    }
    let fixture = Fixture::new();
    let dir = open(&*fixture.mkdir("d"), Access::Read).ok().unwrap();
    fixture.rmdir("d").unwrap();
    assert_eq!(dir.read_dir(0, &mut Nothing), Err(Error::NOENT));
    assert_eq!(dir.stat().unwrap().nlink, 0);
}
