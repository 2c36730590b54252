//! Directories that are listed.

use std::collections::BTreeMap;

use crate::backend::Access;
use crate::testing::scene::{Scene, create, list_with, mkdir, names, ok, open, portion, unlink};

const FILES: usize = 500;

pub(in crate::testing) fn every_entry_turns_up_once(scene: &Scene) {
    let root = scene.root();
    let mut expected: Vec<Vec<u8>> = (0..FILES).map(|number| format!("file-{number}").into_bytes()).collect();
    expected.sort();
    (0..FILES).for_each(|number| drop(create(&*root, &format!("file-{number}"))));
    let open = open(&*root, Access::Read);
    for room in [1, 7, FILES, usize::MAX] {
        let mut seen: Vec<Vec<u8>> = list_with(&*open, room, || ()).into_iter().map(|entry| entry.name).collect();
        seen.sort();
        assert_eq!(seen, expected, "in portions of {room}");
    }
}

pub(in crate::testing) fn what_stays_turns_up_once_while_others_come_and_go(scene: &Scene) {
    let root = mkdir(&*scene.root(), "dir");
    (0..FILES).for_each(|number| drop(create(&*root, &format!("file-{number}"))));
    let open = open(&*root, Access::Read);
    let mut round = 0;
    let entries = list_with(&*open, 3, || {
        if round < FILES / 2 {
            // Of each pair one goes, and something new comes.
            ok(unlink(&*root, &format!("file-{}", 2 * round)), "unlink");
            drop(create(&*root, &format!("new-{round}")));
        }
        round += 1;
    });
    let mut seen = BTreeMap::new();
    for entry in entries {
        *seen.entry(entry.name).or_insert(0) += 1;
    }
    for number in (1..FILES).step_by(2) {
        let stays = format!("file-{number}");
        assert_eq!(seen.get(stays.as_bytes()), Some(&1), "{stays}");
    }
}

pub(in crate::testing) fn removing_what_was_listed_loses_nothing(scene: &Scene) {
    let root = mkdir(&*scene.root(), "dir");
    (0..FILES).for_each(|number| drop(create(&*root, &format!("file-{number}"))));
    let open = open(&*root, Access::Read);
    let (mut from, mut removed) = (0, 0);
    loop {
        let entries = portion(&*open, from, 10);
        let Some(last) = entries.last() else { break };
        from = last.next;
        for entry in entries.iter().filter(|entry| !matches!(&entry.name[..], b"." | b"..")) {
            ok(unlink(&*root, &String::from_utf8_lossy(&entry.name)), "unlink");
            removed += 1;
        }
    }
    assert_eq!(removed, FILES);
    assert_eq!(names(&*root), Vec::<String>::new());
}
