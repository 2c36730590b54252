//! Making files.

use std::os::fd::AsFd;
use std::os::unix::fs::{PermissionsExt, chown, symlink};

use rustix::fs::{OFlags, fcntl_getfl};

use super::*;
use lisafs::backend::{Error, FileType, IoSource, Unlink};

#[test]
fn a_new_file_has_owner_mode_and_set_id_bits() {
    let fixture = Fixture::stock();
    let created = fixture.root.create(name("f"), &owned(0o6755, USER, USER + 1), Access::ReadWrite).ok().unwrap();
    assert_eq!((created.found.stat.mode, created.found.stat.uid, created.found.stat.gid), (0o106_755, USER, USER + 1));
    assert_eq!((mode(&fixture.path("f")), owner(&fixture.path("f"))), (0o6755, (USER, USER + 1)));
    assert_eq!(created.found.file.stat(), Ok(created.found.stat));
    assert_eq!(error(fixture.root.create(name("f"), &own(0o644), Access::Read)), Some(Errno::EXIST));

    let node = fixture.root.mknod(name("n"), &owned(0o4711, USER, NO_ID), FileType::Regular, (0, 0)).ok().unwrap();
    assert_eq!((node.stat.mode, node.stat.uid, node.stat.gid), (0o104_711, USER, 0));
}

#[test]
fn a_new_file_is_open_for_what_was_asked() {
    let fixture = Fixture::stock();
    for (access, flags) in
        [(Access::Read, OFlags::RDONLY), (Access::Write, OFlags::WRONLY), (Access::ReadWrite, OFlags::RDWR)]
    {
        let created = fixture.root.create(name("f"), &own(0), access).ok().unwrap();
        let donated = created.opened.donated.unwrap();
        assert_eq!(fcntl_getfl(donated.as_fd()).unwrap() & OFlags::ACCMODE, flags);
        assert_eq!(created.opened.file.write_at(IoSource::from(&b"x"[..]), 0).is_ok(), access.writes());
        fixture.root.unlink(name("f"), Unlink::File).unwrap();
    }
}

#[test]
fn without_privileges_the_mode_of_a_new_file_does_not_stand_in_the_way() {
    let fixture = Fixture::stock();
    chown(fixture.dir.path(), Some(USER), Some(USER)).unwrap();
    as_user(|| {
        let fs = HostFs::open(fixture.dir.path(), HostOptions::default()).unwrap();
        let root = fs.attach().ok().unwrap().root.file;
        let created = root.create(name("f"), &owned(0o444, USER, USER), Access::Write).ok().unwrap();
        assert_eq!(created.opened.file.write_at(IoSource::from(&b"data"[..]), 0), Ok(4));
        assert_eq!(error(open(&*created.found.file, Access::Write)), Some(Errno::ACCESS));
    });
    assert_eq!(std::fs::read(fixture.path("f")).unwrap(), b"data");
}

#[test]
fn what_cannot_be_completed_is_removed_again() {
    let fixture = Fixture::stock();
    chown(fixture.dir.path(), Some(USER), Some(USER)).unwrap();
    as_user(|| {
        let fs = HostFs::open(fixture.dir.path(), HostOptions::default()).unwrap();
        let root = fs.attach().ok().unwrap().root.file;
        let other = owned(0o755, USER + 1, USER);
        assert_eq!(error(root.create(name("f"), &other, Access::Write)), Some(Errno::PERM));
        assert_eq!(error(root.mkdir(name("d"), &other)), Some(Errno::PERM));
        assert_eq!(error(root.mknod(name("n"), &other, FileType::Regular, (0, 0))), Some(Errno::PERM));
        assert_eq!(error(root.symlink(name("l"), b"to", &other)), Some(Errno::PERM));
    });
    assert_eq!(std::fs::read_dir(fixture.dir.path()).unwrap().count(), 0);
}

#[test]
fn directories_keep_what_the_kernel_would_drop() {
    let fixture = Fixture::stock();
    let found = fixture.root.mkdir(name("d"), &owned(0o7755, USER, USER)).ok().unwrap();
    assert_eq!((found.stat.mode, found.stat.uid), (0o047_755, USER));
    assert_eq!(error(fixture.root.mkdir(name("d"), &own(0o755))), Some(Errno::EXIST));
}

#[test]
fn a_set_gid_directory_passes_its_group_on() {
    let fixture = Fixture::stock();
    chown(fixture.dir.path(), None, Some(USER)).unwrap();
    std::fs::set_permissions(fixture.dir.path(), std::fs::Permissions::from_mode(0o2777)).unwrap();
    let dir = fixture.root.mkdir(name("d"), &own(0o755)).ok().unwrap();
    assert_eq!((dir.stat.mode, dir.stat.gid), (0o042_755, USER));
    let file = fixture.root.create(name("f"), &own(0o644), Access::Read).ok().unwrap();
    assert_eq!((file.found.stat.mode, file.found.stat.gid), (0o100_644, USER));
}

#[test]
fn links_lead_where_they_should() {
    let fixture = Fixture::stock();
    let target = [b'\xff'; 4000];
    let found = fixture.root.symlink(name("l"), &target, &owned(0, USER, USER)).ok().unwrap();
    assert_eq!((found.stat.file_type(), found.stat.uid, found.stat.gid), (Some(FileType::Symlink), USER, USER));
    assert_eq!(found.file.read_link(), Ok(target.to_vec()));
    assert_eq!(fixture.root.read_link(), Err(Error::INVAL));
    std::fs::remove_file(fixture.path("l")).unwrap();
    assert_eq!(found.file.read_link(), Ok(target.to_vec()));
}

#[test]
fn hard_links_are_made_to_the_very_file() {
    let fixture = Fixture::stock();
    fixture.write("f", "content");
    symlink("f", fixture.path("l")).unwrap();
    let (file, link) = (fixture.walk("f"), fixture.walk("l"));
    let second = fixture.root.link(name("f2"), &*file).ok().unwrap();
    assert_eq!((second.stat.nlink, second.stat.ino), (2, file.stat().unwrap().ino));
    // The link itself gets a second name, not what it leads to.
    let second = fixture.root.link(name("l2"), &*link).ok().unwrap();
    assert_eq!((second.stat.file_type(), second.stat.ino), (Some(FileType::Symlink), link.stat().unwrap().ino));
    assert_eq!(error(fixture.root.link(name("f2"), &*file)), Some(Errno::EXIST));
    assert_eq!(error(fixture.root.link(name("d"), &*fixture.root)), Some(Errno::PERM));
}

#[test]
fn the_stock_server_makes_no_special_files() {
    let fixture = Fixture::stock();
    let mknod = |file_type, device| error(fixture.root.mknod(name("n"), &own(0o600), file_type, device));
    for file_type in [FileType::Fifo, FileType::Socket, FileType::BlockDevice, FileType::Directory, FileType::Symlink] {
        assert_eq!(mknod(file_type, (0, 0)), Some(Errno::PERM), "{file_type:?}");
    }
    assert_eq!(mknod(FileType::CharDevice, (1, 3)), Some(Errno::PERM));
    assert_eq!(mknod(FileType::CharDevice, (u32::MAX, 0)), Some(Errno::PERM));
    assert!(!exists(&fixture.path("n")));
    assert_eq!(mknod(FileType::CharDevice, (0, 0)), None);
}

#[test]
fn special_files_are_made_if_allowed() {
    let fixture = Fixture::open();
    let types = [FileType::Regular, FileType::Fifo, FileType::Socket, FileType::CharDevice, FileType::BlockDevice];
    for (file_type, entry) in types.into_iter().zip(["r", "f", "s", "c", "b"]) {
        let found = fixture.root.mknod(name(entry), &owned(0o640, USER, USER), file_type, (300, 70_000)).ok().unwrap();
        assert_eq!((found.stat.file_type(), u32::from(found.stat.mode) & 0o7777), (Some(file_type), 0o640));
        assert_eq!(found.stat.uid, USER);
        let device = if matches!(entry, "c" | "b") { (300, 70_000) } else { (0, 0) };
        assert_eq!((found.stat.rdev_major, found.stat.rdev_minor), device);
        assert!(fixture.root.walk(name(entry)).is_ok());
    }
    for (file_type, device) in [(FileType::CharDevice, (1 << 12, 0)), (FileType::BlockDevice, (0, 1 << 20))] {
        assert_eq!(error(fixture.root.mknod(name("x"), &own(0o600), file_type, device)), Some(Errno::INVAL));
    }
}
