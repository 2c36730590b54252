//! Extended attributes.

use super::*;
use lisafs::acl::{ACCESS, AccessList, DEFAULT, Entry, Who};
use lisafs::backend::{Error, FileType, XattrFlags};

#[test]
fn names_and_values_have_limits() {
    let fixture = Fixture::new();
    let root = &fixture.root;
    let named = |len: usize| [&b"user."[..], &vec![b'n'; len - 5]].concat();
    assert_eq!(root.set_xattr(&named(255), &[1; 65_535], XattrFlags::empty()), Ok(()));
    assert_eq!(root.get_xattr(&named(255)), Ok(vec![1; 65_535]));
    assert_eq!(root.set_xattr(&named(256), b"", XattrFlags::empty()), Err(Error::RANGE));
    assert_eq!(root.set_xattr(b"", b"", XattrFlags::empty()), Err(Error::RANGE));
    assert_eq!(root.set_xattr(b"user.", b"", XattrFlags::empty()), Err(Error::INVAL));
    assert_eq!(root.set_xattr(b"user.a", &[1; 65_536], XattrFlags::empty()), Err(Error::TOOBIG));
    assert_eq!(root.set_xattr(b"user.a", b"", XattrFlags::from_bits_retain(4)), Err(Error::INVAL));
    for other in [&b"system.other"[..], b"user", b"a"] {
        assert_eq!(root.set_xattr(other, b"", XattrFlags::empty()), Err(Error::OPNOTSUPP));
        assert_eq!(root.get_xattr(other), Err(Error::OPNOTSUPP));
        assert_eq!(root.remove_xattr(other), Err(Error::OPNOTSUPP));
    }
    // The list of all names is one answer.
    let result = (0..1000)
        .map(|i| root.set_xattr(format!("user.{i:0250}").as_bytes(), b"", XattrFlags::empty()))
        .find(Result::is_err);
    assert_eq!(result, Some(Err(Error::NOSPC)));
    let list: usize = root.list_xattr().unwrap().iter().map(|name| name.len() + 1).sum();
    assert!((65_000..=65_536).contains(&list));
}

#[test]
fn links_and_special_files_have_none_of_users() {
    let fixture = Fixture::new();
    let link = fixture.root.symlink(name("l"), b"x", &own(0)).ok().unwrap().file;
    let fifo = fixture.root.mknod(name("p"), &own(0), FileType::Fifo, (0, 0)).ok().unwrap().file;
    for file in [link, fifo] {
        assert_eq!(file.set_xattr(b"user.a", b"", XattrFlags::empty()), Err(Error::PERM));
        assert_eq!(file.remove_xattr(b"user.a"), Err(Error::PERM));
        assert_eq!(file.get_xattr(b"user.a"), Err(Error::NODATA));
        assert_eq!(file.list_xattr(), Ok(Vec::new()));
        for name in [&b"trusted.overlay.origin"[..], b"security.selinux"] {
            assert_eq!(file.get_xattr(name), Err(Error::NODATA));
            assert_eq!(file.set_xattr(name, b"value", XattrFlags::empty()), Ok(()));
            assert_eq!(file.get_xattr(name), Ok(b"value".to_vec()));
        }
    }
}

fn list() -> Vec<u8> {
    let entries = [(Who::Owner, 7), (Who::User(1), 7), (Who::Group, 5), (Who::Mask, 7), (Who::Others, 0)];
    let list = AccessList::new(entries.map(|(who, rights)| Entry::new(who, rights))).unwrap();
    list.to_value()
}

#[test]
fn lists_are_for_files_that_have_permissions() {
    let fixture = Fixture::new();
    let link = fixture.root.symlink(name("l"), b"x", &own(0)).ok().unwrap().file;
    assert_eq!(link.get_xattr(ACCESS), Err(Error::OPNOTSUPP));
    assert_eq!(link.set_xattr(ACCESS, &list(), XattrFlags::empty()), Err(Error::OPNOTSUPP));
    let fifo = fixture.root.mknod(name("p"), &own(0), FileType::Fifo, (0, 0)).ok().unwrap().file;
    assert_eq!(fifo.set_xattr(ACCESS, &list(), XattrFlags::empty()), Ok(()));
    assert_eq!(fifo.set_xattr(DEFAULT, &list(), XattrFlags::empty()), Err(Error::ACCESS));
    assert_eq!(fifo.set_xattr(DEFAULT, b"", XattrFlags::empty()), Ok(()));
    assert_eq!(fixture.stat("p").mode & 0o777, 0o770);
}

#[test]
fn inherited_lists_take_space() {
    let fixture = Fixture::with("size=1m");
    let dir = fixture.mkdir("d");
    dir.set_xattr(DEFAULT, &list(), XattrFlags::empty()).unwrap();
    let before = fixture.used();
    fixture.create("d/f");
    let one = fixture.used().0 - before.0;
    assert!(one > list().len() as u64);
    fixture.mkdir("d/d");
    assert_eq!(fixture.used().0 - before.0, one * 3 + (DEFAULT.len() - ACCESS.len()) as u64);
    fixture.unlink("d/f").unwrap();
    fixture.rmdir("d/d").unwrap();
    assert_eq!(fixture.used(), before);
    // Without room for the list there is no file.
    let rest = fixture.fs.root.fs().space.take_some(u64::MAX);
    assert_eq!(error(dir.mkdir(name("x"), &own(0o755))), Some(Error::NOSPC));
    assert_eq!(error(fixture.walk("d/x")), Some(Error::NOENT));
    fixture.fs.root.fs().space.give(rest);
    assert_eq!((fixture.used(), fixture.stat("d").nlink), (before, 2));
}
