//! Extended attributes.

use lisafs::backend::{Error, XattrFlags};
use std::os::unix::fs::symlink;

use super::*;

#[test]
fn the_kernel_says_which_there_can_be() {
    let fixture = Fixture::stock();
    fixture.write("f", "");
    let file = fixture.walk("f");
    for name in [&b"trusted.secret"[..], b"security.label", b"user.a"] {
        assert_eq!(file.get_xattr(name), Err(Error::NODATA));
        file.set_xattr(name, b"x", XattrFlags::empty()).unwrap();
        assert_eq!(file.get_xattr(name), Ok(b"x".to_vec()));
        assert!(file.list_xattr().unwrap().contains(&name.to_vec()));
        file.remove_xattr(name).unwrap();
    }
    as_user(|| assert_eq!(file.set_xattr(b"trusted.secret", b"x", XattrFlags::empty()), Err(Error::PERM)));
    assert_eq!(file.get_xattr(b"other.a"), Err(Error::OPNOTSUPP));
    assert_eq!(file.get_xattr(b"user.\0"), Err(Error::INVAL));
    assert_eq!(file.set_xattr(&[b"user.", &[b'n'; 300][..]].concat(), b"", XattrFlags::empty()), Err(Error::RANGE));
}

#[test]
fn long_values_come_whole() {
    let fixture = Fixture::stock();
    fixture.write("f", "");
    let file = fixture.walk("f");
    let value = vec![7; 3000];
    file.set_xattr(b"user.long", &value, XattrFlags::empty()).unwrap();
    assert_eq!(file.get_xattr(b"user.long"), Ok(value));
    let names: Vec<_> = (0..20).map(|i| format!("user.a_rather_long_name_{i:03}").into_bytes()).collect();
    for name in &names {
        file.set_xattr(name, b"", XattrFlags::empty()).unwrap();
    }
    assert_eq!(file.list_xattr().unwrap().len(), names.len() + 1);
}

#[test]
fn a_symbolic_link_is_not_followed() {
    let fixture = Fixture::stock();
    let path = fixture.write("f", "");
    rustix::fs::setxattr(&path, "user.a", b"1", rustix::fs::XattrFlags::empty()).unwrap();
    symlink("f", fixture.path("l")).unwrap();
    let link = fixture.walk("l");
    assert_eq!(link.get_xattr(b"user.a"), Err(Error::NODATA));
    assert_eq!(link.set_xattr(b"user.b", b"", XattrFlags::empty()), Err(Error::PERM));
    assert_eq!(link.list_xattr(), Ok(vec![]));
}

#[test]
fn old_kernels_are_asked_by_path() {
    let fixture = Fixture::stock();
    fixture.write("f", "");
    fixture.fs.shared.proc_fds.pretend_old_kernel();
    let file = fixture.walk("f");
    std::fs::remove_file(fixture.path("f")).unwrap();
    file.set_xattr(b"user.a", &[1; 1000], XattrFlags::empty()).unwrap();
    assert_eq!(file.get_xattr(b"user.a"), Ok(vec![1; 1000]));
    assert_eq!(file.list_xattr(), Ok(vec![b"user.a".to_vec()]));
    assert_eq!(file.remove_xattr(b"user.a"), Ok(()));
    assert_eq!(file.get_xattr(b"user.a"), Err(Error::NODATA));
}
