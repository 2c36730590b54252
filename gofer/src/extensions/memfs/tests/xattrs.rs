//! Extended attributes.

use super::*;
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
    for other in [&b"security.selinux"[..], b"trusted.a", b"system.posix_acl_access", b"user", b"a"] {
        assert_eq!(root.set_xattr(other, b"", XattrFlags::empty()), Err(Error::OPNOTSUPP));
        let is_security = other.starts_with(b"security.");
        assert_eq!(root.get_xattr(other), Err(if is_security { Error::NODATA } else { Error::OPNOTSUPP }));
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
fn links_and_special_files_have_none() {
    let fixture = Fixture::new();
    let link = fixture.root.symlink(name("l"), b"x", &own(0)).ok().unwrap().file;
    let fifo = fixture.root.mknod(name("p"), &own(0), FileType::Fifo, (0, 0)).ok().unwrap().file;
    for file in [link, fifo] {
        assert_eq!(file.set_xattr(b"user.a", b"", XattrFlags::empty()), Err(Error::PERM));
        assert_eq!(file.remove_xattr(b"user.a"), Err(Error::PERM));
        assert_eq!(file.get_xattr(b"user.a"), Err(Error::NODATA));
        assert_eq!(file.list_xattr(), Ok(Vec::new()));
    }
}
