//! Listing directories.

use std::collections::BTreeMap;

use super::*;
use lisafs::backend::{DirEntry, DirSink, Error, OpenFile};

/// Takes so many entries.
struct Portion {
    room: usize,
    names: Vec<(Vec<u8>, u64)>,
    next: u64,
}

impl DirSink for Portion {
    fn add(&mut self, entry: &DirEntry<'_>) -> bool {
        if self.names.len() == self.room {
            return false;
        }
        assert_ne!(entry.next, 0);
        self.names.push((entry.name.to_vec(), entry.ino));
        self.next = entry.next;
        true
    }
}

/// Up to `room` entries from position `from` on, and the position behind them.
fn portion(dir: &dyn OpenFile, from: u64, room: usize) -> (Vec<(Vec<u8>, u64)>, u64) {
    let mut sink = Portion { room, names: Vec::new(), next: from };
    dir.read_dir(from, &mut sink).unwrap();
    (sink.names, sink.next)
}

/// Everything, with `between` done after each portion; how often each name turned up.
fn list(dir: &dyn OpenFile, rooms: &[usize], mut between: impl FnMut(&[(Vec<u8>, u64)])) -> BTreeMap<Vec<u8>, usize> {
    let mut seen = BTreeMap::new();
    let mut from = 0;
    for room in rooms.iter().cycle() {
        let (names, next) = portion(dir, from, *room);
        if names.is_empty() {
            return seen;
        }
        between(&names);
        for (name, _) in names {
            *seen.entry(name).or_default() += 1;
        }
        from = next;
    }
    seen
}

/// Makes `count` entries in the root and opens it.
fn fill(fixture: &Fixture, count: usize) -> lisafs::backend::OpenBox {
    let first = fixture.path("file-0");
    for i in 0..count {
        // Names are all that counts here, and links are made much faster than files.
        match i {
            0 => drop(fixture.write("file-0", "")),
            _ => std::fs::hard_link(&first, fixture.path(&format!("file-{i}"))).unwrap(),
        }
    }
    open(&*fixture.root, Access::Read).ok().unwrap().file
}

#[test]
fn removing_others_meanwhile_loses_and_repeats_nothing() {
    let fixture = Fixture::stock();
    let dir = fill(&fixture, 10_000);
    let mut victims = (0..10_000).step_by(2);
    let seen = list(&*dir, &[5, 11], |_| {
        for victim in victims.by_ref().take(20) {
            std::fs::remove_file(fixture.path(&format!("file-{victim}"))).unwrap();
        }
    });
    assert!(seen.values().all(|count| *count == 1));
    for survivor in (1..10_000).step_by(2) {
        assert!(seen.contains_key(format!("file-{survivor}").as_bytes()), "{survivor}");
    }
    assert!(seen.len() < 10_000, "entries that are gone were listed");
}

#[test]
fn a_listing_goes_on_from_any_position() {
    let fixture = Fixture::stock();
    let dir = fill(&fixture, 1000);
    let (first, after_first) = portion(&*dir, 0, 10);
    let (second, _) = portion(&*dir, after_first, 500);
    assert_eq!(portion(&*dir, after_first, 500).0, second);
    assert_eq!(portion(&*dir, 0, 10).0, first);
    assert_eq!(portion(&*dir, 0, 0).0, []);
    assert_eq!(portion(&*dir, 0, 10).0, first);
    // A start shows what came since.
    let (_, _) = portion(&*dir, 0, 1);
    fixture.write("new", "");
    assert!(portion(&*dir, 0, usize::MAX).0.iter().any(|(name, _)| name == b"new"));
}

#[test]
fn a_removed_directory_is_an_error() {
    let fixture = Fixture::stock();
    let dir = fill(&fixture, 0);
    std::fs::remove_dir(fixture.dir.path()).unwrap();
    assert_eq!(dir.read_dir(0, &mut Portion { room: 1, names: Vec::new(), next: 0 }), Err(Error::NOENT));
}
