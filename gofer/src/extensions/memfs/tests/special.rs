//! Files that are neither regular nor directories.

use super::*;
use lisafs::backend::{Error, FileType};

const FIFO: FileType = FileType::Fifo;
const CHARACTER: FileType = FileType::CharDevice;
const BLOCK: FileType = FileType::BlockDevice;
const SOCKET: FileType = FileType::Socket;

#[test]
fn all_types_can_be_made_and_looked_at() {
    let fixture = Fixture::new();
    for (i, kind) in [FIFO, CHARACTER, BLOCK, SOCKET, FileType::Regular].into_iter().enumerate() {
        let name = i.to_string();
        let made = fixture.root.mknod(super::name(&name), &own(0o640), kind, (300, 70_000)).ok().unwrap();
        let stat = fixture.stat(&name);
        assert_eq!(made.stat, stat);
        assert_eq!(stat.mode, kind.bits() | 0o640);
        let is_device = matches!(kind, CHARACTER | BLOCK);
        assert_eq!((stat.rdev_major, stat.rdev_minor), if is_device { (300, 70_000) } else { (0, 0) });
        assert_eq!((stat.size, stat.blocks, stat.nlink), (0, 0, 1));
    }
    for bad in [FileType::Directory, FileType::Symlink] {
        assert_eq!(error(fixture.root.mknod(name("bad"), &own(0), bad, (0, 0))), Some(Error::INVAL));
    }
}

#[test]
fn special_files_are_not_opened() {
    let fixture = Fixture::new();
    for (kind, errno) in [(FIFO, Error::PERM), (CHARACTER, Error::PERM), (BLOCK, Error::PERM), (SOCKET, Error::NXIO)] {
        let file = fixture.root.mknod(name("s"), &own(0o666), kind, (1, 3)).ok().unwrap().file;
        assert_eq!(error(open(&*file, Access::Write)), Some(errno));
        assert_eq!(set_size(&*file, 0), Err(Error::INVAL));
        fixture.unlink("s").unwrap();
    }
    assert_eq!(error(open(&*fixture.root, Access::ReadWrite)), Some(Error::ISDIR));
    assert!(open(&*fixture.root, Access::Read).is_ok());
}

#[test]
fn special_files_can_be_left_to_the_client() {
    let fixture = Fixture::with("nospecial");
    for (kind, device) in [(FIFO, (0, 0)), (SOCKET, (0, 0)), (BLOCK, (0, 0)), (CHARACTER, (1, 3))] {
        assert_eq!(error(fixture.root.mknod(name("s"), &own(0), kind, device)), Some(Error::PERM));
    }
    assert!(fixture.root.mknod(name("whiteout"), &own(0), CHARACTER, (0, 0)).is_ok());
    assert!(fixture.root.mknod(name("regular"), &own(0), FileType::Regular, (0, 0)).is_ok());
}

#[test]
fn symbolic_links_lead_somewhere() {
    let fixture = Fixture::new();
    let longest = vec![b't'; 4095];
    let link = fixture.root.symlink(name("l"), &longest, &own(0)).ok().unwrap();
    assert_eq!((link.stat.mode, link.stat.size), (0o120_777, 4095));
    assert_eq!(link.file.read_link(), Ok(longest));
    assert_eq!(error(fixture.root.symlink(name("m"), &[b't'; 4096], &own(0))), Some(Error::NAMETOOLONG));
    assert_eq!(fixture.root.read_link(), Err(Error::INVAL));
    assert_eq!(error(open(&*link.file, Access::Read)), Some(Error::LOOP));
    // A link can have several names.
    assert_eq!(fixture.link("k", "l").ok().unwrap().stat.nlink, 2);
}
