//! Content.

use crate::backend::{Access, AllocateFlags, Error, SeekTo, StatxMask};
use crate::testing::scene::{Scene, content, create, how, ok, open, read, set_size, walk, write};

pub(in crate::testing) fn what_is_written_is_read(scene: &Scene) {
    let root = scene.root();
    let file = create(&*root, "file");
    write(&*file, 0, b"hello world");
    write(&*file, 6, b"there");
    assert_eq!(read(&*file, 0, 100), b"hello there");
    assert_eq!(ok(file.write_at((&b""[..]).into(), 3), "write of nothing"), 0);
    assert_eq!(ok(file.stat(), "stat").size, 11);
    ok(file.sync(), "sync");
    // Who opens it later, and who asks by name, sees the same.
    let again = open(&*walk(&*root, "file").file, Access::Read);
    assert_eq!(content(&*again), b"hello there");
    assert_eq!(walk(&*root, "file").stat.size, 11);
    write(&*file, 11, b"!");
    assert_eq!(content(&*again), b"hello there!");
}

pub(in crate::testing) fn large_data_is_whole(scene: &Scene) {
    let file = create(&*scene.root(), "file");
    let bytes: Vec<u8> = (0..300_000_u32).map(|index| index.to_le_bytes()[(index % 3) as usize]).collect();
    let taken = ok(file.write_at((&bytes[..]).into(), 13), "write");
    assert_eq!(taken, bytes.len(), "a short write is for a file system that is full");
    assert_eq!(read(&*file, 13, bytes.len() + 1), bytes, "a short read is the end of the file");
    assert_eq!(read(&*file, 13 + 100_000, 7), bytes[100_000..100_007]);
}

pub(in crate::testing) fn holes_are_zeros(scene: &Scene) {
    let file = create(&*scene.root(), "file");
    write(&*file, 3, b"abc");
    write(&*file, 10_000, b"end");
    let mut expected = vec![0; 10_003];
    expected[3..6].copy_from_slice(b"abc");
    expected[10_000..].copy_from_slice(b"end");
    assert_eq!(content(&*file), expected);
}

pub(in crate::testing) fn the_end_of_a_file_is_its_size(scene: &Scene) {
    let root = scene.root();
    let file = create(&*root, "file");
    write(&*file, 0, b"12345");
    assert_eq!(ok(file.stat(), "stat").size, 5);
    assert_eq!(walk(&*root, "file").stat.size, 5);
    assert_eq!(read(&*file, 4, 10), b"5");
    assert_eq!(read(&*file, 5, 10), b"");
    assert_eq!(read(&*file, 1 << 40, 10), b"");
    let beyond = file.read_at([0; 4][..].as_mut().into(), u64::MAX);
    assert!(beyond == Ok(0) || beyond == Err(Error::INVAL), "{beyond:?}");
}

pub(in crate::testing) fn sizes_are_set(scene: &Scene) {
    let root = scene.root();
    let file = create(&*root, "file");
    write(&*file, 0, b"hello world");
    let control = walk(&*root, "file").file;
    ok(set_size(&*control, 5), "set_stat of a size");
    assert_eq!(content(&*file), b"hello");
    // What was cut off does not come back.
    ok(set_size(&*control, 11), "set_stat of a size");
    assert_eq!(content(&*file), b"hello\0\0\0\0\0\0");
    assert_eq!(ok(control.stat(), "stat").size, 11);
}

pub(in crate::testing) fn opening_can_empty_a_file(scene: &Scene) {
    let root = scene.root();
    let file = create(&*root, "file");
    write(&*file, 0, b"hello");
    let opened = ok(walk(&*root, "file").file.open(how(Access::Write, true, false)), "open with O_TRUNC").file;
    assert_eq!(ok(file.stat(), "stat").size, 0);
    write(&*opened, 0, b"new");
    assert_eq!(content(&*file), b"new");
}

pub(in crate::testing) fn space_is_taken(scene: &Scene) {
    let file = create(&*scene.root(), "file");
    write(&*file, 0, &[7; 1 << 16]);
    ok(file.sync(), "sync");
    let stat = ok(file.stat(), "stat");
    assert!(!stat.mask.contains(StatxMask::BLOCKS) || stat.blocks > 0, "64 KiB of data take no blocks");
}

pub(in crate::testing) fn space_is_reserved(scene: &Scene) {
    let file = create(&*scene.root(), "file");
    write(&*file, 0, b"hello");
    ok(file.allocate(AllocateFlags::empty(), 0, 100_000), "allocate");
    assert_eq!(ok(file.stat(), "stat").size, 100_000);
    assert_eq!(read(&*file, 0, 8), b"hello\0\0\0");
    assert_eq!(content(&*file).len(), 100_000);
}

/// Holes may be taken for data, but not the other way round.
pub(in crate::testing) fn data_is_found(scene: &Scene) {
    const END: u64 = 400_000;
    let file = create(&*scene.root(), "file");
    write(&*file, 200_000, b"data");
    ok(set_size(&*walk(&*scene.root(), "file").file, END), "set_stat of a size");
    let seek = |offset, what| file.seek(offset, what);
    if seek(0, SeekTo::Data) == Err(Error::OPNOTSUPP) {
        return;
    }
    let data = ok(seek(0, SeekTo::Data), "seek to data");
    assert!(data <= 200_000, "there is data at 200,000 bytes, but what was found is at {data}");
    let hole = ok(seek(200_000, SeekTo::Hole), "seek to a hole");
    assert!((200_004..=END).contains(&hole), "a hole within data that ends at 200,004 bytes: {hole}");
    match seek(hole, SeekTo::Data) {
        // A part of a hole that counts as data, such as the last block of a format with blocks.
        Ok(found) => assert!((hole..END).contains(&found), "data within {hole} to {END}: {found}"),
        Err(error) => assert_eq!(error, Error::NXIO, "no data after the hole"),
    }
    for what in [SeekTo::Data, SeekTo::Hole] {
        assert_eq!(seek(END, what).expect_err("there is nothing at the end"), Error::NXIO);
    }
}
