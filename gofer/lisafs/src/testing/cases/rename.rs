//! Renames.

use crate::backend::{Access, ControlBox, Errno, FileType, RenameFlags};
use crate::testing::scene::{
    Scene, content, create, fails, identity, kind, mkdir, names, ok, open, rename, walk, write,
};

/// Two directories: one with the file `a` and the directory `full`, which has a file; the other with the file `b` and
/// the empty directory `empty`.
fn tree(scene: &Scene) -> (ControlBox, ControlBox) {
    let root = scene.root();
    let (one, other) = (mkdir(&*root, "one"), mkdir(&*root, "other"));
    write(&*create(&*one, "a"), 0, b"a");
    write(&*create(&*other, "b"), 0, b"b");
    drop(create(&*mkdir(&*one, "full"), "file"));
    mkdir(&*other, "empty");
    (one, other)
}

fn what_is_in(dir: &ControlBox, entry: &str) -> Vec<u8> {
    content(&*open(&*walk(&**dir, entry).file, Access::Read))
}

pub(in crate::testing) fn it_moves_and_replaces(scene: &Scene) {
    let (one, other) = tree(scene);
    ok(rename((&*one, "a"), (&*one, "new"), RenameFlags::Replace), "rename in a directory");
    assert_eq!(names(&*one), ["full", "new"]);
    ok(rename((&*one, "new"), (&*other, "b"), RenameFlags::Replace), "rename that replaces a file");
    assert_eq!((names(&*one), names(&*other)), (vec!["full".into()], vec!["b".into(), "empty".to_owned()]));
    assert_eq!(what_is_in(&other, "b"), b"a");
    let replaced = walk(&*other, "empty");
    ok(rename((&*one, "full"), (&*other, "empty"), RenameFlags::Replace), "rename that replaces an empty directory");
    assert_eq!((names(&*one).len(), names(&*walk(&*other, "empty").file)), (0, vec!["file".to_owned()]));
    assert_ne!(identity(&walk(&*other, "empty").stat), identity(&replaced.stat));
    ok(rename((&*other, "b"), (&*other, "b"), RenameFlags::Replace), "rename to the same name");
    assert_eq!(what_is_in(&other, "b"), b"a");
}

pub(in crate::testing) fn it_does_not_replace_what_it_must_not(scene: &Scene) {
    let (one, other) = tree(scene);
    let refused = rename((&*one, "a"), (&*other, "b"), RenameFlags::NoReplace);
    fails(refused, &[Errno::EXIST], "rename with RENAME_NOREPLACE of a name that is taken");
    assert_eq!((what_is_in(&one, "a"), what_is_in(&other, "b")), (b"a".to_vec(), b"b".to_vec()));
    ok(rename((&*one, "a"), (&*other, "a"), RenameFlags::NoReplace), "rename with RENAME_NOREPLACE");
    assert_eq!(what_is_in(&other, "a"), b"a");
}

pub(in crate::testing) fn it_exchanges(scene: &Scene) {
    let (one, other) = tree(scene);
    ok(rename((&*one, "a"), (&*other, "b"), RenameFlags::Exchange), "rename with RENAME_EXCHANGE");
    assert_eq!((what_is_in(&one, "a"), what_is_in(&other, "b")), (b"b".to_vec(), b"a".to_vec()));
    ok(rename((&*one, "full"), (&*other, "b"), RenameFlags::Exchange), "exchange of a directory and a file");
    assert_eq!((what_is_in(&one, "full"), names(&*walk(&*other, "b").file)), (b"a".to_vec(), vec!["file".to_owned()]));
    let missing = rename((&*one, "a"), (&*other, "none"), RenameFlags::Exchange);
    fails(missing, &[Errno::NOENT], "exchange with nothing");
}

pub(in crate::testing) fn it_leaves_whiteouts(scene: &Scene) {
    let (one, other) = tree(scene);
    let is_whiteout = |dir: &ControlBox, entry: &str| {
        let stat = walk(&**dir, entry).stat;
        assert_eq!((kind(&stat), stat.rdev_major, stat.rdev_minor), (FileType::CharDevice, 0, 0), "{entry}");
    };
    ok(rename((&*one, "a"), (&*one, "new"), RenameFlags::Whiteout), "rename with RENAME_WHITEOUT");
    assert_eq!(
        (what_is_in(&one, "new"), names(&*one)),
        (b"a".to_vec(), ["a", "full", "new"].map(String::from).to_vec())
    );
    is_whiteout(&one, "a");
    ok(
        rename((&*one, "new"), (&*other, "b"), RenameFlags::Whiteout),
        "rename with RENAME_WHITEOUT that replaces a file",
    );
    assert_eq!((what_is_in(&other, "b"), names(&*other)), (b"a".to_vec(), ["b", "empty"].map(String::from).to_vec()));
    is_whiteout(&one, "new");
    ok(rename((&*one, "full"), (&*other, "dir"), RenameFlags::Whiteout), "rename of a directory with RENAME_WHITEOUT");
    assert_eq!(names(&*walk(&*other, "dir").file), ["file"]);
    is_whiteout(&one, "full");
    let refused = rename((&*other, "dir"), (&*other, "b"), RenameFlags::WhiteoutNoReplace);
    fails(refused, &[Errno::EXIST], "rename with RENAME_WHITEOUT and RENAME_NOREPLACE of a name that is taken");
    assert_eq!(names(&*other), ["b", "dir", "empty"]);
    ok(rename((&*other, "dir"), (&*other, "d"), RenameFlags::WhiteoutNoReplace), "the same of a name that is not");
    is_whiteout(&other, "dir");
    ok(rename((&*one, "a"), (&*one, "full"), RenameFlags::Whiteout), "rename of a whiteout over another one");
    is_whiteout(&one, "a");
    is_whiteout(&one, "full");
}

pub(in crate::testing) fn what_cannot_be_is_refused(scene: &Scene) {
    let (one, other) = tree(scene);
    let refused = |from: (&ControlBox, &str), to: (&ControlBox, &str), errnos: &[Errno]| {
        let what = format!("rename of {} over {}", from.1, to.1);
        fails(rename((&**from.0, from.1), (&**to.0, to.1), RenameFlags::Replace), errnos, &what);
    };
    refused((&one, "none"), (&other, "b"), &[Errno::NOENT]);
    refused((&one, "a"), (&other, "empty"), &[Errno::ISDIR]);
    refused((&other, "empty"), (&one, "a"), &[Errno::NOTDIR]);
    refused((&other, "empty"), (&one, "full"), &[Errno::NOTEMPTY, Errno::EXIST]);
    let full = walk(&*one, "full").file;
    refused((&one, "full"), (&full, "below"), &[Errno::INVAL]);
    assert_eq!(
        (names(&*one), names(&*other)),
        (vec!["a".into(), "full".to_owned()], vec!["b".into(), "empty".to_owned()])
    );
}
