//! Access control lists.

use crate::acl::{ACCESS, AccessList, DEFAULT, Entry, Who};
use crate::backend::{Access, ControlFile, Errno, FileType, Mode, SetStat, XattrFlags};
use crate::testing::Capability;
use crate::testing::scene::{Scene, create, created, fails, kind, mkdir, name, ok, own, set, walk};

/// The owner, one more user, the group, the most for these two, and others.
fn list(owner: u16, user: u16, group: u16, mask: u16, others: u16) -> AccessList {
    let entries = [
        Entry::new(Who::Owner, owner),
        Entry::new(Who::User(4242), user),
        Entry::new(Who::Group, group),
        Entry::new(Who::Mask, mask),
        Entry::new(Who::Others, others),
    ];
    AccessList::new(entries).expect("a list")
}

fn put(file: &dyn ControlFile, attribute: &[u8], list: &AccessList) {
    ok(file.set_xattr(attribute, &list.to_value(), XattrFlags::empty()), "set_xattr of a list");
}

fn get(file: &dyn ControlFile, attribute: &[u8]) -> Option<AccessList> {
    match file.get_xattr(attribute) {
        Err(error) if error == Errno::NODATA => None,
        value => AccessList::from_value(&ok(value, "get_xattr of a list")).expect("a list"),
    }
}

fn mode(file: &dyn ControlFile) -> u16 {
    ok(file.stat(), "stat").mode & 0o7777
}

pub(in crate::testing) fn modes_and_lists_agree(scene: &Scene) {
    let root = scene.root();
    drop(create(&*root, "file"));
    mkdir(&*root, "dir");
    for entry in ["file", "dir"] {
        let file = walk(&*root, entry).file;
        assert_eq!(get(&*file, ACCESS), None);
        put(&*file, ACCESS, &list(6, 7, 1, 5, 4));
        assert_eq!(get(&*file, ACCESS), Some(list(6, 7, 1, 5, 4)), "{entry}");
        assert_eq!(mode(&*file), 0o654, "the mask is shown in the place of the group's rights");
        ok(set(&*file, SetStat::new().mode(Mode::new(0o1720))), "set_stat of a mode");
        assert_eq!((mode(&*file), get(&*file, ACCESS)), (0o1720, Some(list(7, 7, 1, 2, 0))), "{entry}");
        let minimal = [Entry::new(Who::Owner, 6), Entry::new(Who::Group, 4), Entry::new(Who::Others, 0)];
        put(&*file, ACCESS, &AccessList::new(minimal).expect("a list"));
        assert_eq!((mode(&*file), get(&*file, ACCESS)), (0o1640, None), "a list that says no more than a mode is one");
        put(&*file, ACCESS, &list(6, 7, 1, 5, 4));
        ok(file.remove_xattr(ACCESS), "remove_xattr of a list");
        assert_eq!(get(&*file, ACCESS), None);
        fails(file.set_xattr(ACCESS, b"\x02\0\0\0\x01", XattrFlags::empty()), &[Errno::INVAL], "set_xattr of no list");
    }
    let refused = walk(&*root, "file").file.set_xattr(DEFAULT, &list(7, 7, 7, 7, 7).to_value(), XattrFlags::empty());
    fails(refused, &[Errno::ACCESS, Errno::PERM], "set_xattr of a default list on a file");
}

pub(in crate::testing) fn new_files_inherit_them(scene: &Scene) {
    let root = scene.root();
    let dir = mkdir(&*root, "dir");
    let new = |mode, masked| own(mode).masked(Mode::new(masked));
    let plain = created(&*dir, "plain", &new(0o640, 0o026)).found;
    assert_eq!(plain.stat.mode & 0o7777, 0o640, "without a default list the mode is ready made");

    let default = list(7, 6, 5, 7, 1);
    put(&*dir, DEFAULT, &default);
    let file = created(&*dir, "file", &new(0o640, 0o026)).found;
    assert_eq!(file.stat.mode & 0o7777, 0o660, "where there is a default list the umask does not count");
    assert_eq!(get(&*file.file, ACCESS), Some(list(6, 6, 5, 6, 0)));
    let made = ok(dir.mkdir(name("dir"), &new(0o1700, 0o077)), "mkdir");
    assert_eq!(made.stat.mode & 0o7777, 0o1771);
    assert_eq!(get(&*made.file, ACCESS), Some(list(7, 6, 5, 7, 1)));
    assert_eq!(get(&*made.file, DEFAULT), Some(default));
    let node = ok(dir.mknod(name("node"), &new(0o600, 0o066), FileType::Regular, (0, 0)), "mknod of a regular file");
    assert_eq!((node.stat.mode & 0o7777, get(&*node.file, ACCESS)), (0o660, Some(list(6, 6, 5, 6, 0))));
    if scene.can(Capability::SpecialFiles) {
        let fifo = ok(dir.mknod(name("fifo"), &new(0o604, 0o060), FileType::Fifo, (0, 0)), "mknod of a FIFO");
        assert_eq!((kind(&fifo.stat), fifo.stat.mode & 0o7777), (FileType::Fifo, 0o660));
    }
    if scene.can(Capability::SymbolicLinks) {
        let link = ok(dir.symlink(name("link"), b"x", &own(0o777)), "symlink").file;
        fails(link.get_xattr(ACCESS), &[Errno::NODATA, Errno::OPNOTSUPP], "get_xattr of a symbolic link's list");
    }
    let opened = ok(walk(&*dir, "file").file.open(crate::backend::OpenHow::new(Access::Read)), "open");
    assert_eq!(ok(opened.file.stat(), "stat").mode & 0o777, 0o660);

    ok(dir.remove_xattr(DEFAULT), "remove_xattr of a default list");
    let later = created(&*dir, "later", &new(0o640, 0o026)).found;
    assert_eq!((later.stat.mode & 0o7777, get(&*later.file, ACCESS)), (0o640, None));
}
