//! Whatever is there, in backends that cannot be written, too.

use crate::backend::{Access, ControlBox, Errno, FileType, Name};
use crate::testing::Capability;
use crate::testing::scene::{
    Scene, content, create, fails, identity, kind, list, list_with, mkdir, name, ok, open, own, read, walk, write,
};

/// More files than that are not looked at.
const MOST: usize = 1000;

/// All directories and regular files, from the root on, some of them made for it if that can be.
fn all(scene: &Scene) -> (Vec<ControlBox>, Vec<ControlBox>) {
    let root = scene.root();
    if scene.can(Capability::Write) {
        let dir = mkdir(&*root, "dir");
        write(&*create(&*dir, "file"), 0, b"The quick brown fox jumps over the lazy dog.");
        if scene.can(Capability::SymbolicLinks) {
            ok(root.symlink(name("link"), b"dir", &own(0o777)), "symlink");
        }
        if scene.can(Capability::SpecialFiles) {
            ok(root.mknod(name("fifo"), &own(0o600), FileType::Fifo, (0, 0)), "mknod");
        }
        (0..5).for_each(|number| drop(create(&*root, &format!("empty-{number}"))));
    }
    let (mut dirs, mut files, mut next) = (vec![root], Vec::new(), 0);
    while next < dirs.len() && dirs.len() + files.len() < MOST {
        for entry in list(&*dirs[next]) {
            let found = ok(dirs[next].walk(ok(Name::new(&entry.name), "the name of an entry")), "walk to an entry");
            match kind(&found.stat) {
                FileType::Directory => dirs.push(found.file),
                FileType::Regular => files.push(found.file),
                _ => {}
            }
        }
        next += 1;
    }
    (dirs, files)
}

pub(in crate::testing) fn every_file_is_what_its_directory_says(scene: &Scene) {
    let (dirs, files) = all(scene);
    for dir in &dirs {
        assert_eq!(kind(&ok(dir.stat(), "stat")), FileType::Directory);
        assert_eq!(identity(&ok(open(&**dir, Access::Read).stat(), "stat")), identity(&ok(dir.stat(), "stat")));
        for entry in list(&**dir) {
            let found = ok(dir.walk(ok(Name::new(&entry.name), "the name of an entry")), "walk to an entry");
            assert_ne!(found.stat.ino, 0, "{entry:?}");
            assert!(found.stat.mask.contains(crate::backend::StatxMask::TYPE), "the type is missing: {entry:?}");
            assert_eq!(identity(&found.stat), entry.identity, "{entry:?}");
            if let Some(entry_kind) = entry.kind {
                assert_eq!(kind(&found.stat), entry_kind, "{entry:?}");
            }
            let now = ok(found.file.stat(), "stat");
            assert_eq!((identity(&now), now.mode), (identity(&found.stat), found.stat.mode), "{entry:?}");
        }
    }
    for file in &files {
        let stat = ok(file.stat(), "stat");
        assert!(stat.mask.contains(crate::backend::StatxMask::SIZE), "the size of a regular file is missing");
    }
}

pub(in crate::testing) fn every_file_is_read_alike_in_parts(scene: &Scene) {
    for file in all(scene).1 {
        let open = open(&*file, Access::Read);
        let whole = content(&*open);
        let size = ok(open.stat(), "stat").size;
        assert_eq!(whole.len() as u64, size, "as much is read as the size says");
        for (offset, len) in [(0, 1), (1, 7), (whole.len() / 2, whole.len()), (whole.len(), 1), (whole.len() + 9, 5)] {
            let part = whole.get(offset..).unwrap_or_default();
            let part = &part[..part.len().min(len)];
            assert_eq!(read(&*open, offset as u64, len), part, "{len} bytes at {offset}");
        }
    }
}

pub(in crate::testing) fn what_is_not_there_is_not_found(scene: &Scene) {
    for dir in all(scene).0 {
        fails(dir.walk(name("no such file")), &[Errno::NOENT], "walk to a name that is not there");
        fails(dir.walk(name(&"n".repeat(255))), &[Errno::NOENT, Errno::NAMETOOLONG], "walk to a long name");
    }
}

pub(in crate::testing) fn listings_go_on_where_they_stopped(scene: &Scene) {
    let (dirs, _) = all(scene);
    for dir in dirs {
        let open = open(&*dir, Access::Read);
        let whole = list_with(&*open, usize::MAX, || ());
        for room in [1, 2, 3] {
            assert_eq!(list_with(&*open, room, || ()), whole, "in portions of {room}");
        }
        // And from where anybody remembers.
        if let [first, second, ..] = &whole[..] {
            let again = crate::testing::scene::portion(&*open, first.next, usize::MAX);
            let again = again.iter().find(|entry| !matches!(&entry.name[..], b"." | b".."));
            assert_eq!(again, Some(second));
            assert_eq!(identity(&walk_to(&dir, &second.name)), second.identity);
        }
    }
}

fn walk_to(dir: &ControlBox, entry: &[u8]) -> crate::backend::Statx {
    match std::str::from_utf8(entry) {
        Ok(entry) => walk(&**dir, entry).stat,
        Err(_) => ok(dir.walk(ok(Name::new(entry), "a name")), "walk").stat,
    }
}
