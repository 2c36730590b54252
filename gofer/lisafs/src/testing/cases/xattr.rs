//! Extended attributes.

use crate::backend::{ControlFile, Errno, XattrFlags};
use crate::testing::scene::{Scene, create, fails, mkdir, ok, walk};

/// Those of the namespace `user`; a host may have others on every file.
fn list(file: &dyn ControlFile) -> Vec<Vec<u8>> {
    let mut names = ok(file.list_xattr(), "list_xattr");
    names.retain(|name| name.starts_with(b"user."));
    names.sort();
    names
}

pub(in crate::testing) fn they_are_kept(scene: &Scene) {
    let root = scene.root();
    drop(create(&*root, "file"));
    mkdir(&*root, "dir");
    for entry in ["file", "dir"] {
        let file = walk(&*root, entry).file;
        fails(file.get_xattr(b"user.a"), &[Errno::NODATA], "get_xattr of what is not there");
        fails(file.set_xattr(b"user.a", b"1", XattrFlags::REPLACE), &[Errno::NODATA], "set_xattr with XATTR_REPLACE");
        ok(file.set_xattr(b"user.a", b"\0one\xff", XattrFlags::CREATE), "set_xattr with XATTR_CREATE");
        fails(
            file.set_xattr(b"user.a", b"2", XattrFlags::CREATE),
            &[Errno::EXIST],
            "set_xattr with XATTR_CREATE again",
        );
        assert_eq!(ok(file.get_xattr(b"user.a"), "get_xattr"), b"\0one\xff");
        ok(file.set_xattr(b"user.a", &[7; 1000], XattrFlags::REPLACE), "set_xattr with XATTR_REPLACE");
        ok(file.set_xattr(b"user.empty", b"", XattrFlags::empty()), "set_xattr");
        assert_eq!(ok(walk(&*root, entry).file.get_xattr(b"user.a"), "get_xattr"), [7; 1000]);
        assert_eq!(ok(file.get_xattr(b"user.empty"), "get_xattr"), b"");
        assert_eq!(list(&*file), [&b"user.a"[..], b"user.empty"]);
    }
}

pub(in crate::testing) fn they_are_removed(scene: &Scene) {
    let root = scene.root();
    drop(create(&*root, "file"));
    let file = walk(&*root, "file").file;
    ok(file.set_xattr(b"user.a", b"1", XattrFlags::empty()), "set_xattr");
    ok(file.set_xattr(b"user.b", b"2", XattrFlags::empty()), "set_xattr");
    ok(file.remove_xattr(b"user.a"), "remove_xattr");
    fails(file.get_xattr(b"user.a"), &[Errno::NODATA], "get_xattr of what was removed");
    fails(file.remove_xattr(b"user.a"), &[Errno::NODATA], "remove_xattr of what was removed");
    assert_eq!(list(&*file), [b"user.b"]);
}
