//! A full disk: what does not find room was not written, what was there before stays.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use gofer::extension::Claim;
use gofer::extensions::memfs::{MemFs, MemOptions};
use gofer::extensions::wrap::{Call, Layer, Wrapped};
use gofer_crypt::CryptFs;
use lisafs::backend::{
    Access, Backend, DirEntry, DirSink, Errno, Mode, NO_ID, Name, NewFile, OpenBox, OpenHow, SetStat,
};

use common::change::{Numbers, read, walk};
use common::{DEFAULT, XCHACHA};

const PAGE: usize = 4096;

fn create(fs: &impl Backend, name: &str) -> OpenBox {
    let root = fs.attach().unwrap().root.file;
    let new = NewFile::new(Mode::new(0o600), NO_ID, NO_ID);
    root.create(Name::new(name.as_bytes()).unwrap(), &new, Access::ReadWrite).unwrap().opened.file
}

/// Takes all the room in `fs` but for some pages.
fn fill(fs: &MemFs, spare: usize) {
    let file = create(fs, "fill");
    let mut at = 0;
    while let Ok(count @ 1..) = file.write_at((&[1; PAGE][..]).into(), at) {
        at += count as u64;
    }
    let control = walk(fs, "fill");
    let kept = at.saturating_sub((spare * PAGE) as u64);
    control.set_stat(&SetStat::new().size(kept)).unwrap();
}

/// How many files `fs` has where changes are noted.
fn notes(fs: &MemFs) -> usize {
    struct Count(usize);
    impl DirSink for Count {
        fn add(&mut self, entry: &DirEntry<'_>) -> bool {
            self.0 += usize::from(entry.name.starts_with(b"gocryptfs.longname.gofer-redo-"));
            true
        }
    }
    let mut count = Count(0);
    let root = fs.attach().unwrap().root.file;
    root.open(OpenHow::new(Access::Read)).unwrap().file.read_dir(0, &mut count).unwrap();
    count.0
}

#[test]
fn what_was_there_stays() {
    let directory = tempfile::tempdir().unwrap();
    for features in [DEFAULT, XCHACHA] {
        let config = directory.path().join("config");
        std::fs::write(&config, common::config(features)).unwrap();
        let open = |claim| CryptFs::open(claim, config.to_str().unwrap(), &common::password()).unwrap();
        let mut cut_short = 0;
        for (len, at, wanted) in [
            (3 * PAGE + 100, 0, 8 * PAGE),
            (3 * PAGE + 100, PAGE + 7, 20 * PAGE),
            (3 * PAGE + 100, 3 * PAGE, PAGE),
            (100, 0, 40 * PAGE),
            (33 * PAGE + 1, 0, 64 * PAGE),
            (50 * PAGE + 7, 40 * PAGE + 9, 60 * PAGE),
            (5 * PAGE, 2 * PAGE, 20 * PAGE),
        ] {
            for spare in 0..8 {
                let inner = Arc::new(MemFs::new(MemOptions::default().size(Some(1 << 20))).unwrap());
                let volume = open(Claim::new(inner.clone()));
                let file = create(&volume, "file");
                let mut expected = vec![7; len];
                assert_eq!(file.write_at((&expected[..]).into(), 0).unwrap(), len);
                fill(&inner, spare);
                let written = match file.write_at((&vec![8; wanted][..]).into(), at as u64) {
                    Err(error) => {
                        assert_eq!(error, Errno::NOSPC);
                        0
                    }
                    Ok(count) => count,
                };
                cut_short += usize::from(written < wanted);
                expected.resize(len.max(at + written), 0);
                expected[at..at + written].fill(8);
                let what = format!("{len} bytes, {wanted} at {at} with {spare} pages");
                assert!(read(&walk(&volume, "file")) == expected, "{what}");
                drop((file, volume));
                assert_eq!(notes(&inner), 0, "{what}");
                assert!(read(&walk(&open(Claim::new(inner)), "file")) == expected, "{what}, opened again");
            }
        }
        assert!(cut_short > 20, "{cut_short} writes did not find room");
    }
}

#[test]
fn changes_that_cannot_be_noted_leave_nothing_behind() {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("config");
    std::fs::write(&config, common::config(DEFAULT)).unwrap();
    let inner = Arc::new(MemFs::new(MemOptions::default().size(Some(1 << 20))).unwrap());
    let volume = CryptFs::open(Claim::new(inner.clone()), config.to_str().unwrap(), &common::password()).unwrap();
    let file = create(&volume, "file");
    let mut expected = vec![7; 50 * PAGE];
    assert_eq!(file.write_at((&expected[..]).into(), 0).unwrap(), expected.len());
    fill(&inner, 3);
    let mut numbers = Numbers(1);
    for _ in 0..100 {
        let at = usize::try_from(numbers.below(30 * PAGE as u64)).unwrap();
        assert_eq!(file.write_at((&[8; 10 * PAGE][..]).into(), at as u64).unwrap(), 10 * PAGE);
        expected[at..at + 10 * PAGE].fill(8);
        assert!(notes(&inner) <= 1);
    }
    assert!(read(&walk(&volume, "file")) == expected);
    drop((file, volume));
    assert_eq!(notes(&inner), 0);
}

/// Room for what is there only. A longer write is made in part, and not even up to where the file ended: the host's file
/// system has pages beside each other in one folio, which finds room or does not.
struct Folios {
    is_full: AtomicBool,
}

impl Folios {
    const IN_PLACE: usize = 2 * 4128 + 132;
    const WHOLE: usize = 8 * 4128;
}

impl Layer for Folios {
    type Started = ();

    fn before(&self, _: Call) -> lisafs::backend::Result<()> {
        Ok(())
    }

    fn after(&self, _: Call, (): (), _: Result<u64, Errno>) {}

    fn length(&self, call: Call, len: usize) -> usize {
        match len {
            _ if call != Call::Write || !self.is_full.load(Ordering::Relaxed) => len,
            ..=Folios::IN_PLACE => len,
            Folios::WHOLE => Folios::IN_PLACE - 1000,
            _ => 0,
        }
    }
}

#[test]
fn what_needs_no_room_is_written_by_itself() {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("config");
    std::fs::write(&config, common::config(DEFAULT)).unwrap();
    let inner = Claim::new(Arc::new(MemFs::new(MemOptions::default()).unwrap()));
    let wrapped = Wrapped::new(inner, Folios { is_full: AtomicBool::new(false) });
    let layer = wrapped.layer().clone();
    let volume = CryptFs::open(Claim::new(Arc::new(wrapped)), config.to_str().unwrap(), &common::password()).unwrap();
    let file = create(&volume, "file");
    assert_eq!(file.write_at((&[7; 2 * PAGE + 100][..]).into(), 0).unwrap(), 2 * PAGE + 100);
    layer.is_full.store(true, Ordering::Relaxed);
    assert_eq!(file.write_at((&[8; 8 * PAGE][..]).into(), 0).unwrap(), 2 * PAGE);
    assert!(read(&walk(&volume, "file")) == [vec![8; 2 * PAGE], vec![7; 100]].concat());
}
