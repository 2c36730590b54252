//! Renaming.

use super::*;
use lisafs::backend::RenameFlags::{self, Exchange, NoReplace, Replace, Whiteout, WhiteoutNoReplace};

impl Fixture {
    fn rename(&self, from: &str, to: &str, flags: RenameFlags) -> Result<()> {
        let ((old_dir, from), (new_dir, to)) = (self.place(from), self.place(to));
        old_dir.rename(from, &*new_dir, to, flags)
    }

    fn ino(&self, path: &str) -> Option<u64> {
        self.walk(path).ok().map(|file| file.stat().unwrap().ino)
    }

    fn nlink(&self, path: &str) -> u32 {
        self.stat(path).nlink
    }
}

/// `a` with the file `f` and the directories `d` and `e`, `e` with the file `x`; `b` with the file `g`.
fn tree() -> Fixture {
    let fixture = Fixture::new();
    for dir in ["a", "a/d", "a/e", "b"] {
        fixture.mkdir(dir);
    }
    for file in ["a/f", "a/e/x", "b/g"] {
        fixture.create(file);
    }
    fixture
}

#[test]
fn a_file_gets_another_name() {
    let fixture = tree();
    let file = fixture.ino("a/f");
    for (from, to) in [("a/f", "a/h"), ("a/h", "b/h"), ("b/h", "h")] {
        fixture.rename(from, to, NoReplace).unwrap();
        assert_eq!((fixture.ino(from), fixture.ino(to)), (None, file));
    }
    fixture.rename("h", "b/g", Replace).unwrap();
    assert_eq!((fixture.ino("h"), fixture.ino("b/g")), (None, file));
    assert_eq!(fixture.used().1, 7);
}

#[test]
fn a_directory_moves_with_all_that_is_in_it() {
    let fixture = tree();
    let (dir, file) = (fixture.ino("a/e"), fixture.ino("a/e/x"));
    fixture.rename("a/e", "b/e", Replace).unwrap();
    assert_eq!((fixture.ino("b/e"), fixture.ino("b/e/x")), (dir, file));
    assert_eq!((fixture.nlink("a"), fixture.nlink("b")), (3, 3));
    // An empty one is replaced.
    fixture.rename("b/e", "a/d", Replace).unwrap();
    assert_eq!((fixture.ino("a/d"), fixture.ino("a/d/x"), fixture.ino("b/e")), (dir, file, None));
    assert_eq!((fixture.nlink("a"), fixture.nlink("b")), (3, 2));
    fixture.mkdir("a/n");
    fixture.rename("a/d", "a/n", Replace).unwrap();
    assert_eq!((fixture.nlink("a"), fixture.ino("a/n/x")), (3, file));
}

#[test]
fn what_cannot_be_is_refused_and_changes_nothing() {
    let fixture = tree();
    fixture.link("b/l", "b/g").ok().unwrap();
    let paths = ["a", "a/d", "a/e", "a/e/x", "a/f", "b", "b/g", "b/l"];
    let look = || paths.map(|path| fixture.stat(path));
    let before = look();
    tick();
    for (from, to, flags, errno) in [
        ("a/x", "a/y", Replace, Error::NOENT),
        ("a/f", "b/x", Exchange, Error::NOENT),
        ("a/f", "b/g", NoReplace, Error::EXIST),
        ("a/f", "a/f", NoReplace, Error::EXIST),
        ("b/g", "b/l", NoReplace, Error::EXIST),
        ("a/f", "a/d", Replace, Error::ISDIR),
        ("a/d", "a/f", Replace, Error::NOTDIR),
        ("a/d", "a/e", Replace, Error::NOTEMPTY),
        ("b", "a/e", Replace, Error::NOTEMPTY),
        ("a/e/x", "a", Replace, Error::NOTEMPTY),
        ("a/e/x", "a", Exchange, Error::INVAL),
        ("a/e", "a", Replace, Error::NOTEMPTY),
        ("a/e", "a", Exchange, Error::INVAL),
        ("a", "a/e", Replace, Error::INVAL),
        ("a", "a/z", Replace, Error::INVAL),
        ("a", "a/e/z", Replace, Error::INVAL),
        ("a", "a/e/z", NoReplace, Error::INVAL),
        ("a", "a/e/x", Exchange, Error::INVAL),
        ("a/f/x", "b/x", Replace, Error::NOTDIR),
        ("b/g", "a/f/x", Replace, Error::NOTDIR),
    ] {
        assert_eq!(fixture.rename(from, to, flags), Err(errno), "{from} {to} {flags:?}");
    }
    // Two names of one file stay two names.
    for (from, to, flags) in [("b/g", "b/l", Replace), ("b/g", "b/l", Exchange), ("a/d", "a/d", Replace)] {
        assert_eq!(fixture.rename(from, to, flags), Ok(()), "{from} {to} {flags:?}");
    }
    let long = "n".repeat(256);
    assert_eq!(fixture.rename("a/f", &long, Replace), Err(Error::NAMETOOLONG));
    assert_eq!(look(), before);
}

#[test]
fn names_are_exchanged() {
    let fixture = tree();
    let (e, x, g, b) = (fixture.ino("a/e"), fixture.ino("a/e/x"), fixture.ino("b/g"), fixture.ino("b"));
    fixture.rename("a/e", "b/g", Exchange).unwrap();
    assert_eq!((fixture.ino("a/e"), fixture.ino("b/g"), fixture.ino("b/g/x")), (g, e, x));
    assert_eq!((fixture.nlink("a"), fixture.nlink("b")), (3, 3));
    fixture.rename("a/e", "b/g", Exchange).unwrap();
    assert_eq!((fixture.nlink("a"), fixture.nlink("b")), (4, 2));
    fixture.rename("a/e", "b", Exchange).unwrap();
    assert_eq!((fixture.ino("b"), fixture.ino("a/e"), fixture.ino("a/e/g")), (e, b, g));
    assert_eq!((fixture.nlink("a"), fixture.root.stat().unwrap().nlink), (4, 4));
    // The way up is right, too.
    assert_eq!(fixture.rename("a", "a/e/z", Replace), Err(Error::INVAL));
    assert_eq!(fixture.rename("a", "b/z", Replace), Ok(()));
}

#[test]
fn whiteouts_count_and_may_be_too_many() {
    let fixture = tree();
    let (bytes, names) = fixture.used();
    fixture.rename("a/f", "b/h", Whiteout).unwrap();
    fixture.rename("a/e", "b/e", WhiteoutNoReplace).unwrap();
    assert_eq!(fixture.used(), (bytes, names + 2));
    assert_eq!((fixture.nlink("a"), fixture.nlink("b")), (3, 3));
    // It replaces a file, whose name is given back.
    fixture.rename("b/h", "b/g", Whiteout).unwrap();
    assert_eq!(fixture.used(), (bytes, names + 2));
    fixture.link("b/l", "b/g").ok().unwrap();
    let file = fixture.ino("b/g");
    fixture.rename("b/g", "b/l", Whiteout).unwrap();
    assert_eq!((fixture.ino("b/g"), fixture.ino("b/l")), (file, file), "two names of one file stay");
    let full = Fixture::with("inodes=3");
    full.create("a");
    full.create("b");
    assert_eq!(full.rename("a", "c", Whiteout), Err(Error::NOSPC));
    assert!(full.ino("a").is_some() && full.ino("c").is_none());
}

#[test]
fn nothing_moves_into_a_removed_directory() {
    let fixture = tree();
    let dir = fixture.walk("a/d").ok().unwrap();
    fixture.rmdir("a/d").unwrap();
    let root = &fixture.root;
    assert_eq!(root.rename(name("b"), &*dir, name("x"), Replace), Err(Error::NOENT));
    assert_eq!(root.rename(name("a"), &*dir, name("x"), Replace), Err(Error::NOENT));
    assert_eq!(dir.rename(name("x"), &**root, name("x"), Replace), Err(Error::NOENT));
    // Its own place, and that of the directory above, may be gone for good.
    fixture.rename("a/e", "e", Replace).unwrap();
    fixture.unlink("a/f").unwrap();
    fixture.rmdir("a").unwrap();
    assert_eq!(root.rename(name("b"), &*dir, name("x"), Replace), Err(Error::NOENT));
}

#[test]
fn only_directories_have_names_to_give() {
    let fixture = tree();
    // A file is not even locked for it.
    for (from, to) in [("a/f/x", "b/x"), ("b/g", "a/f/x"), ("a/f/x", "a/f/y"), ("a/f/x", "b/g/x")] {
        for flags in [Replace, NoReplace, Exchange] {
            assert_eq!(fixture.rename(from, to, flags).unwrap_err(), Error::NOTDIR, "{from} {to}");
        }
    }
}
