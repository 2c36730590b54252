//! Reading and writing, holes, reserving and freeing space.

use lisafs::backend::{AllocateFlags, Error, SeekTo};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const SLOT: u64 = super::super::store::SLOT as u64;
const MAX: u64 = i64::MAX as u64;
const KEEP_SIZE: u32 = 1;
const PUNCH_HOLE: u32 = 2;
const ZERO_RANGE: u32 = 0x10;

#[test]
fn a_size_takes_no_space() {
    let fixture = Fixture::with("size=1m");
    let file = fixture.create("f");
    let control = fixture.walk("f").ok().unwrap();
    for size in [1 << 40, MAX] {
        set_size(&*control, size).unwrap();
        let stat = file.stat().unwrap();
        assert_eq!((stat.size, stat.blocks), (size, 0));
        assert_eq!(read(&*file, size - 3, 10), Ok(vec![0; 3]));
    }
    assert_eq!(set_size(&*control, MAX + 1), Err(Error::INVAL));
    write(&*file, MAX / 2, b"x").unwrap();
    assert!((1..=2 * SLOT / 512).contains(&file.stat().unwrap().blocks));
    set_size(&*control, 0).unwrap();
    assert_eq!((file.stat().unwrap().blocks, fixture.used().0), (0, 0));
}

#[test]
fn offsets_have_an_end() {
    let fixture = Fixture::new();
    let file = fixture.create("f");
    assert_eq!(write(&*file, MAX, b"x"), Err(Error::FBIG));
    assert_eq!(write(&*file, MAX - 2, b"xxxxx"), Ok(2));
    assert_eq!(read(&*file, MAX - 3, 10), Ok(b"\0xx".to_vec()));
    assert_eq!(read(&*file, MAX, 10), Ok(Vec::new()));
    for offset in [MAX + 1, u64::MAX] {
        assert_eq!(write(&*file, offset, b"x"), Err(Error::INVAL));
        assert_eq!(read(&*file, offset, 1), Err(Error::INVAL));
    }
}

#[test]
fn opening_can_empty_a_file() {
    let fixture = Fixture::new();
    let file = fixture.create("f");
    write(&*file, 0, b"hello").unwrap();
    let control = fixture.walk("f").ok().unwrap();
    assert!(control.open(OpenHow::new(Access::Read).truncate(true)).is_ok());
    assert_eq!((file.stat().unwrap().size, fixture.used().0), (0, 0));
}

#[test]
fn punched_holes_are_given_back() {
    let fixture = Fixture::new();
    let file = fixture.create("f");
    let chunk = super::super::store::SLOT;
    let mut content = vec![7; 5 * chunk];
    write(&*file, 0, &content).unwrap();
    assert_eq!(file.stat().unwrap().blocks, 5 * SLOT / 512);
    assert_eq!(file.allocate(AllocateFlags::from_bits_retain(PUNCH_HOLE), 0, 1), Err(Error::OPNOTSUPP));
    file.allocate(AllocateFlags::from_bits_retain(PUNCH_HOLE | KEEP_SIZE), SLOT - 1, 2 * SLOT + 2).unwrap();
    content[chunk - 1..=3 * chunk].fill(0);
    assert_eq!(read(&*file, 0, content.len()), Ok(content));
    assert_eq!(file.stat().unwrap().size, 5 * SLOT);
    assert!(file.stat().unwrap().blocks <= 3 * SLOT / 512);
    // Beyond the end there is nothing to punch.
    assert_eq!(
        file.allocate(AllocateFlags::from_bits_retain(PUNCH_HOLE | KEEP_SIZE), 6 * SLOT, MAX - 6 * SLOT),
        Ok(())
    );
    assert_eq!(file.stat().unwrap().size, 5 * SLOT);
}

#[test]
fn space_is_reserved_beyond_the_end() {
    let fixture = Fixture::with("size=1m");
    let file = fixture.create("f");
    file.allocate(AllocateFlags::from_bits_retain(KEEP_SIZE), 0, 100_000).unwrap();
    assert_eq!((file.stat().unwrap().size, file.stat().unwrap().blocks), (0, 200));
    assert_eq!(fixture.used().0, 102_400);
    file.allocate(AllocateFlags::empty(), 0, 10).unwrap();
    assert_eq!((file.stat().unwrap().size, fixture.used().0), (10, 102_400));
    // Cutting off takes it back.
    set_size(&*fixture.walk("f").ok().unwrap(), 10).unwrap();
    assert_eq!(fixture.used().0, 4096);
}

#[test]
fn small_files_take_little() {
    let fixture = Fixture::new();
    let file = fixture.create("f");
    write(&*file, 0, &[1; 100]).unwrap();
    assert_eq!((file.stat().unwrap().blocks, fixture.used().0), (1, 104));
    // They stay small if a hole makes them large.
    set_size(&*fixture.walk("f").ok().unwrap(), 1 << 30).unwrap();
    assert_eq!(fixture.used().0, 104);
    write(&*file, 1 << 29, b"x").unwrap();
    assert_eq!((file.stat().unwrap().blocks, fixture.used().0), (16, 8192));
    assert_eq!(read(&*file, 99, 2), Ok(vec![1, 0]));
}

/// Something that changes a file.
#[derive(Clone, Debug)]
enum Change {
    Write(u64, usize, u8),
    Size(u64),
    Allocate(u32, u64, u64),
}

fn change() -> impl Strategy<Value = Change> {
    // Around the boundaries of slots, and where small files end.
    let large = (0..4_u64, prop_oneof![Just(0), 0..SLOT, SLOT - 3..SLOT]).prop_map(|(n, at)| n * SLOT + at);
    let offset = || prop_oneof![0..3000_u64, large.clone()];
    let mode = prop::sample::select(&[0, KEEP_SIZE, PUNCH_HOLE | KEEP_SIZE, ZERO_RANGE, ZERO_RANGE | KEEP_SIZE][..]);
    prop_oneof![
        (offset(), prop_oneof![1..1000_usize, 1..200_000_usize], 1..=255_u8)
            .prop_map(|(o, l, b)| Change::Write(o, l, b)),
        offset().prop_map(Change::Size),
        (mode, offset(), prop_oneof![1..1000_u64, 1..200_000_u64]).prop_map(|(m, o, l)| Change::Allocate(m, o, l)),
    ]
}

/// What a file is to contain after `change`.
fn model(content: &mut Vec<u8>, change: &Change) {
    let at = |offset: u64| usize::try_from(offset).unwrap();
    match *change {
        Change::Write(offset, len, byte) => {
            let end = at(offset) + len;
            content.resize(content.len().max(end), 0);
            content[at(offset)..end].fill(byte);
        }
        Change::Size(size) => content.resize(at(size), 0),
        Change::Allocate(mode, offset, len) => {
            let end = at(offset + len);
            if mode & KEEP_SIZE == 0 {
                content.resize(content.len().max(end), 0);
            }
            if mode & !KEEP_SIZE != 0 {
                let end = end.min(content.len());
                content[at(offset).min(end)..end].fill(0);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn any_sequence_of_changes_leaves_the_right_bytes(changes in vec(change(), 1..20)) {
        let fixture = Fixture::new();
        let file = fixture.create("f");
        let control = fixture.walk("f").ok().unwrap();
        let mut expected = Vec::new();
        for change in changes {
            match change {
                Change::Write(offset, len, byte) => prop_assert_eq!(write(&*file, offset, &vec![byte; len]), Ok(len)),
                Change::Size(size) => prop_assert_eq!(set_size(&*control, size), Ok(())),
                Change::Allocate(mode, offset, len) => prop_assert_eq!(file.allocate(AllocateFlags::from_bits_retain(mode), offset, len), Ok(())),
            }
            model(&mut expected, &change);
            prop_assert!(read(&*file, 0, expected.len() + 1).unwrap() == expected, "after {:?}", change);
            let held = fixture.used().0;
            prop_assert_eq!(file.stat().unwrap().blocks, held.div_ceil(512));
            if matches!(change, Change::Allocate(0 | KEEP_SIZE, ..)) {
                prop_assert!(held > 0);
            }
        }
        drop((file, control));
        fixture.unlink("f").unwrap();
        prop_assert_eq!(fixture.used(), (0, 1));
    }
}

#[test]
fn holes_and_data_are_found() {
    const PAGE: u64 = 4096;
    let fixture = Fixture::new();
    let file = fixture.create("f");
    let control = fixture.walk("f").ok().unwrap();
    let seek = |offset| (file.seek(offset, SeekTo::Data), file.seek(offset, SeekTo::Hole));
    assert_eq!(seek(0), (Err(Error::NXIO), Err(Error::NXIO)));
    write(&*file, 0, b"small").unwrap();
    set_size(&*control, 100).unwrap();
    assert_eq!(seek(3), (Ok(3), Ok(5)));
    assert_eq!(seek(50), (Err(Error::NXIO), Ok(50)));
    // Data in the second page, and from the last page of the second slot to the second of the third.
    write(&*file, 5000, b"x").unwrap();
    write(&*file, 2 * SLOT - 10, &[1; 5000]).unwrap();
    set_size(&*control, 1 << 20).unwrap();
    assert_eq!(seek(4999), (Ok(4999), Ok(2 * PAGE)));
    assert_eq!(seek(2 * PAGE + 7), (Ok(2 * SLOT - PAGE), Ok(2 * PAGE + 7)));
    assert_eq!(seek(2 * SLOT - 1), (Ok(2 * SLOT - 1), Ok(2 * SLOT + 2 * PAGE)));
    assert_eq!(seek(3 * SLOT), (Err(Error::NXIO), Ok(3 * SLOT)));
    assert_eq!(seek(1 << 20), (Err(Error::NXIO), Err(Error::NXIO)));
    file.allocate(AllocateFlags::PUNCH_HOLE | AllocateFlags::KEEP_SIZE, 0, 2 * SLOT).unwrap();
    assert_eq!(seek(0), (Ok(2 * SLOT), Ok(0)));
    set_size(&*control, 2 * SLOT + 5).unwrap();
    assert_eq!(seek(2 * SLOT + 1), (Ok(2 * SLOT + 1), Ok(2 * SLOT + 5)));
}
