//! Where holes are: as large as they can be told, and never where data is.

mod common;

use std::sync::Arc;

use gofer::extension::Claim;
use gofer::extensions::memfs::{MemFs, MemOptions};
use gofer_crypt::CryptFs;
use lisafs::backend::{
    Access, AllocateFlags, Backend, Errno, Mode, NO_ID, Name, NewFile, OpenBox, OpenFile, SeekTo, SetStat,
};

use common::change::{Numbers, walk};
use common::{DEFAULT, XCHACHA};

const BLOCK: u64 = 4096;
const BLOCKS: usize = 300;

fn in_memory(features: gofer_crypt::format::Features) -> CryptFs {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("config");
    std::fs::write(&config, common::config(features)).unwrap();
    let inner = Claim::new(Arc::new(MemFs::new(MemOptions::default()).unwrap()));
    CryptFs::open(inner, config.to_str().unwrap(), &common::password()).unwrap()
}

fn new_file(volume: &CryptFs) -> OpenBox {
    let new = NewFile::new(Mode::new(0o600), NO_ID, NO_ID);
    volume.attach().unwrap().root.file.create(Name::new(b"file").unwrap(), &new, Access::ReadWrite).unwrap().opened.file
}

/// Where data is, by way of `seek` from one end to the other.
fn extents(file: &dyn OpenFile, size: u64) -> Vec<(u64, u64)> {
    let (mut extents, mut at) = (Vec::new(), 0);
    loop {
        let start = match file.seek(at, SeekTo::Data) {
            Err(error) if error == Errno::NXIO => return extents,
            start => start.unwrap(),
        };
        let end = file.seek(start, SeekTo::Hole).unwrap();
        assert!(at <= start && start < end && end <= size);
        extents.push((start, end));
        at = end;
    }
}

fn check(volume: &CryptFs) {
    let file = new_file(volume);
    assert_eq!(file.seek(0, SeekTo::Data).unwrap_err(), Errno::NXIO);
    let mut numbers = Numbers(7);
    let mut blocks = vec![false; BLOCKS];
    for round in 0..30 {
        let first = usize::try_from(numbers.below(BLOCKS as u64)).unwrap();
        let last = (first + 1 + usize::try_from(numbers.below(60)).unwrap()).min(BLOCKS);
        let (offset, len) = (first as u64 * BLOCK, (last - first) as u64 * BLOCK);
        if round % 3 == 2 {
            let _ = file.allocate(AllocateFlags::PUNCH_HOLE | AllocateFlags::KEEP_SIZE, offset, len);
            blocks[first..last].fill(false);
        } else {
            let data = vec![1; usize::try_from(len).unwrap()];
            assert_eq!(file.write_at((&data[..]).into(), offset).unwrap(), data.len());
            blocks[first..last].fill(true);
        }
        let size = file.stat().unwrap().size;
        let extents = extents(&*file, size);
        let is_data = |at: u64| extents.iter().any(|(start, end)| (*start..*end).contains(&at));
        let (mut holes, mut told) = (0, 0);
        for (is_written, number) in blocks.iter().zip(0..size / BLOCK) {
            let at = number * BLOCK;
            assert!(!is_written || is_data(at) && is_data(at + BLOCK - 1), "block {number} is data");
            holes += usize::from(!is_written);
            told += usize::from(!is_data(at));
            // From the middle of a block, too.
            for what in [SeekTo::Data, SeekTo::Hole] {
                let wanted = match what {
                    _ if is_data(at + 5) == matches!(what, SeekTo::Data) => Some(at + 5),
                    SeekTo::Data => extents.iter().map(|(start, _)| *start).find(|start| *start > at),
                    SeekTo::Hole => extents.iter().map(|(_, end)| *end).find(|end| *end > at),
                };
                assert_eq!(file.seek(at + 5, what).ok(), wanted, "{what:?} from the middle of block {number}");
            }
        }
        // A hole loses a block or two at either end, which are not alone in their pages.
        let borders = blocks.windows(2).filter(|pair| pair[0] != pair[1]).count() + 2;
        assert!(told + 2 * borders >= holes, "{told} of {holes}");
    }
    // The last block is data unless it is whole, and the one before may be in a page with it.
    let control = walk(volume, "file");
    for (size, is_whole) in [(3000 * BLOCK + 1, false), (2990 * BLOCK, true)] {
        control.set_stat(&SetStat::new().size(size)).unwrap();
        let data = file.seek(2000 * BLOCK, SeekTo::Data);
        if is_whole {
            assert_eq!(data.unwrap_err(), Errno::NXIO);
        } else {
            assert!((2999 * BLOCK..=3000 * BLOCK).contains(&data.unwrap()));
        }
        assert_eq!(file.seek(2000 * BLOCK, SeekTo::Hole).unwrap(), 2000 * BLOCK);
        assert_eq!(file.seek(size - 1, SeekTo::Hole).unwrap(), if is_whole { size - 1 } else { size });
        assert_eq!(file.seek(size, SeekTo::Hole).unwrap_err(), Errno::NXIO);
    }
}

#[test]
fn in_memory_they_are_told() {
    check(&in_memory(DEFAULT));
    check(&in_memory(XCHACHA));
}

#[test]
fn on_the_host_they_are_told() {
    let directory = common::volume(DEFAULT);
    check(&common::open(directory.path()));
}
