//! Limits.

use super::*;
use lisafs::backend::{AllocateFlags, FileType, XattrFlags};

#[test]
fn writing_stops_where_space_ends() {
    let fixture = Fixture::with("size=100k");
    let file = fixture.create("f");
    assert_eq!(write(&*file, 0, &vec![1; 200_000]), Ok(102_400));
    assert_eq!(write(&*file, 102_400, b"x"), Err(Error::NOSPC));
    assert_eq!(write(&*file, 0, b"xyz"), Ok(3));
    let stat = fixture.root.stat_fs().unwrap();
    assert_eq!((stat.block_size, stat.blocks, stat.blocks_free, stat.blocks_available), (4096, 25, 0, 0));
    assert_eq!((file.stat().unwrap().size, file.stat().unwrap().blocks), (102_400, 200));
    // Nothing is made of what there is no space for.
    let other = fixture.create("g");
    let before = other.stat().unwrap();
    tick();
    assert_eq!(write(&*other, 5000, b"x"), Err(Error::NOSPC));
    assert_eq!(other.allocate(AllocateFlags::empty(), 0, 1), Err(Error::NOSPC));
    assert_eq!(error(fixture.root.symlink(name("l"), b"target", &own(0))), Some(Error::NOSPC));
    assert_eq!(fixture.walk("g").ok().unwrap().set_xattr(b"user.a", b"", XattrFlags::empty()), Err(Error::NOSPC));
    assert_eq!(other.stat(), Ok(before));
    assert_eq!(error(fixture.walk("l")), Some(Error::NOENT));
    set_size(&*fixture.walk("f").ok().unwrap(), 0).unwrap();
    assert_eq!(fixture.used(), (0, 3));
    assert_eq!(fixture.root.stat_fs().unwrap().blocks_free, 25);
}

#[test]
fn names_end() {
    let fixture = Fixture::with("inodes=4");
    fixture.create("a");
    fixture.mkdir("b");
    fixture.link("c", "a").ok().unwrap();
    let full = Some(Error::NOSPC);
    let before = fixture.root.stat().unwrap();
    assert_eq!(error(fixture.root.create(name("d"), &own(0), Access::Read)), full);
    assert_eq!(error(fixture.root.mkdir(name("d"), &own(0))), full);
    assert_eq!(error(fixture.root.mknod(name("d"), &own(0), FileType::Fifo, (0, 0))), full);
    assert_eq!(error(fixture.root.symlink(name("d"), b"x", &own(0))), full);
    assert_eq!(error(fixture.link("d", "a")), full);
    assert_eq!((fixture.root.stat(), fixture.stat("a").nlink), (Ok(before), 2));
    let stat = fixture.root.stat_fs().unwrap();
    assert_eq!((stat.files, stat.files_free), (4, 0));
    assert_eq!(fixture.used(), (0, 4));
    fixture.unlink("a").unwrap();
    assert_eq!(fixture.root.stat_fs().unwrap().files_free, 1);
    // Replacing gives a name back, too.
    fixture.create("d");
    fixture.root.rename(name("d"), &*fixture.root, name("c"), lisafs::backend::RenameFlags::Replace).unwrap();
    assert_eq!(fixture.used(), (0, 3));
}

#[test]
fn everything_that_is_held_counts() {
    let fixture = Fixture::new();
    fixture.root.symlink(name("l"), &[b't'; 100], &own(0)).ok().unwrap();
    assert_eq!((fixture.used().0, fixture.stat("l").blocks), (100, 1));
    let before = fixture.used().0;
    fixture.root.set_xattr(b"user.a", &[0; 1000], XattrFlags::empty()).unwrap();
    assert!(fixture.used().0 > before + 1000);
    fixture.root.set_xattr(b"user.a", &[0; 10], XattrFlags::empty()).unwrap();
    assert!(fixture.used().0 < before + 100);
    fixture.root.remove_xattr(b"user.a").unwrap();
    fixture.unlink("l").unwrap();
    assert_eq!(fixture.used(), (0, 1));
}

#[test]
fn what_is_reserved_stays_when_a_file_outgrows_its_smallness() {
    const KEEP_SIZE: u32 = 1;
    let fixture = Fixture::with("size=16k");
    let file = fixture.create("f");
    file.allocate(AllocateFlags::from_bits_retain(KEEP_SIZE), 0, 2000).unwrap();
    assert_eq!(write(&*file, 8192, b"x"), Ok(1));
    // Somebody else takes all the rest.
    let other = fixture.create("g");
    while write(&*other, other.stat().unwrap().size, &[1; 4096]).is_ok() {}
    assert_eq!(write(&*file, 0, &[1; 2000]), Ok(2000));
}

#[test]
fn a_small_file_can_become_as_large_as_the_limit() {
    let fixture = Fixture::with("size=4k");
    let file = fixture.create("f");
    assert_eq!(write(&*file, 0, &[1; 2048]), Ok(2048));
    assert_eq!(write(&*file, 2048, &[1; 2048]), Ok(2048));
}
