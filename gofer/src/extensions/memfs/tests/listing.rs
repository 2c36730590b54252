//! Listing directories.

use std::collections::BTreeMap;

use super::*;
use lisafs::backend::{DirEntry, DirSink, RenameFlags};

/// Takes so many entries.
struct Portion {
    room: usize,
    names: Vec<String>,
    next: u64,
}

impl DirSink for Portion {
    fn add(&mut self, entry: &DirEntry<'_>) -> bool {
        if self.names.len() == self.room {
            return false;
        }
        assert!(entry.next > self.next);
        self.names.push(String::from_utf8(entry.name.to_vec()).unwrap());
        self.next = entry.next;
        true
    }
}

fn portion(dir: &dyn OpenFile, from: u64, room: usize) -> (Vec<String>, u64) {
    let mut sink = Portion { room, names: Vec::new(), next: from };
    dir.read_dir(from, &mut sink).unwrap();
    (sink.names, sink.next)
}

/// Lists with `between` after each portion, and returns how often each name turned up.
fn list(dir: &dyn OpenFile, room: usize, mut between: impl FnMut(&[String])) -> BTreeMap<String, usize> {
    let (mut seen, mut from) = (BTreeMap::new(), 0);
    loop {
        let (names, next) = portion(dir, from, room);
        if names.is_empty() {
            return seen;
        }
        between(&names);
        for name in names {
            *seen.entry(name).or_default() += 1;
        }
        from = next;
    }
}

fn filled(count: usize) -> (Fixture, OpenBox) {
    let fixture = Fixture::new();
    for i in 0..count {
        fixture.create(&format!("file-{i}"));
    }
    let dir = open(&*fixture.root, Access::Read).ok().unwrap();
    (fixture, dir)
}

#[test]
fn every_entry_turns_up_once_whatever_the_portions() {
    let (_fixture, dir) = filled(2000);
    for room in [1, 3, 100, 10_000] {
        let seen = list(&*dir, room, |_| {});
        assert_eq!(seen.len(), 2000);
        assert!(seen.values().all(|count| *count == 1));
    }
    assert_eq!(portion(&*dir, 0, 0).0, Vec::<String>::new());
}

#[test]
fn names_that_stay_turn_up_once_while_others_come_and_go() {
    let (fixture, dir) = filled(2000);
    let mut round = 0;
    let seen = list(&*dir, 7, |_| {
        let i = round * 2 % 2000;
        let from = if round < 1000 { None } else { Some("new-0") };
        match from {
            None => fixture.unlink(&format!("file-{i}")).unwrap(),
            // A name that gets another file is still the same name.
            Some(from) => {
                let to = format!("file-{}", i + 1);
                let _ = fixture.root.rename(name(from), &*fixture.root, name(&to), RenameFlags::Replace);
            }
        }
        fixture.create(&format!("new-{round}"));
        round += 1;
    });
    for i in (1..2000).step_by(2) {
        assert_eq!(seen.get(&format!("file-{i}")), Some(&1), "{i}");
    }
    assert!(seen.values().all(|count| *count == 1));
}

#[test]
fn removing_what_was_listed_loses_nothing() {
    let (fixture, dir) = filled(2000);
    let seen = list(&*dir, 10, |names| {
        for name in names {
            fixture.unlink(name).unwrap();
        }
    });
    assert_eq!(seen.len(), 2000);
    assert_eq!(list(&*dir, 10, |_| {}).len(), 0);
}

#[test]
fn a_removed_directory_is_an_error() {
    let fixture = Fixture::new();
    let dir = open(&*fixture.mkdir("d"), Access::Read).ok().unwrap();
    fixture.rmdir("d").unwrap();
    assert_eq!(dir.read_dir(0, &mut Portion { room: 1, names: Vec::new(), next: 0 }), Err(Error::NOENT));
    assert_eq!(dir.stat().unwrap().nlink, 0);
}
