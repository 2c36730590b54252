//! Which messages are chosen.

use std::time::Duration;

use lisafs::wire::message::{FStatReq, RenameAtReq, RenameAtResp, SetStatReq, SetStatResp};
use lisafs::wire::{FdId, MessageId, NO_ID, StatxMask, Timespec};

use super::super::{Filter, NoAnswer};
use super::lines::lines;
use super::{Finished, ROOT, Session};

/// Mount, Walk /dir, Walk /dir/file, Walk /dirt, FStat of each, and some that fail.
fn trace() -> Finished {
    let mut session = Session::new();
    let dir = session.walk(ROOT, "dir", 2, 0o40_755);
    let file = session.walk(dir, "file", 3, 0o100_644);
    let dirt = session.walk(ROOT, "dirt", 4, 0o100_644);
    session.stat(dir, 100);
    session.stat(file, 2_000);
    session.stat(dirt, 1);
    session.refused(&FStatReq { fd: FdId(99) }, libc::EBADF, 1);
    session.unanswered(&FStatReq { fd: file }, NoAnswer::ShutDown);
    let zero = Timespec::default();
    let set = SetStatReq {
        fd: file,
        mask: StatxMask::SIZE,
        mode: 0,
        uid: NO_ID,
        gid: NO_ID,
        size: 1,
        atime: zero,
        mtime: zero,
    };
    session.answered(&set, &SetStatResp { failure_mask: StatxMask::SIZE, failure_errno: 27 }, 1);
    let rename = RenameAtReq { old_dir: ROOT, new_dir: dir, old_name: b"dirt", new_name: b"new" };
    session.answered(&rename, &RenameAtResp {}, 1);
    session.stat(dirt, 1);
    session.finished()
}

/// When the messages that are left began, in milliseconds.
fn left(filter: &Filter) -> Vec<u32> {
    let starts = lines(&trace(), filter);
    let start = |line: &String| line.trim_start()[2..5].parse().unwrap();
    starts.iter().map(start).collect()
}

#[test]
fn each_condition_chooses() {
    let everything: Vec<u32> = (1..=12).collect();
    assert_eq!(left(&Filter::default()), everything);
    let messages = vec![MessageId::WALK, MessageId::MOUNT];
    assert_eq!(left(&Filter { messages, ..Filter::default() }), [1, 2, 3, 4]);
    assert_eq!(left(&Filter { errnos: vec![9], ..Filter::default() }), [8]);
    assert_eq!(left(&Filter { errnos: vec![9, 27], ..Filter::default() }), [8, 10]);
    assert_eq!(left(&Filter { failed: true, ..Filter::default() }), [8, 9, 10]);
    let slower_than = Some(Duration::from_micros(100));
    assert_eq!(left(&Filter { slower_than, ..Filter::default() }), [6, 9]);
    let (from, until) = (Some(Duration::from_millis(5)), Some(Duration::from_millis(8)));
    assert_eq!(left(&Filter { from, until, ..Filter::default() }), [5, 6, 7]);
    // The sixth was under way until the eighth began.
    assert_eq!(left(&Filter { from: Some(Duration::from_micros(7_500)), ..Filter::default() })[0], 6);
}

#[test]
fn paths_are_those_of_the_time() {
    let about = |path: &str| left(&Filter { paths: vec![path.as_bytes().to_vec()], ..Filter::default() });
    assert_eq!(about("/dir"), [2, 3, 5, 6, 9, 10, 11, 12], "and below it");
    assert_eq!(about("/dir/file"), [3, 6, 9, 10]);
    assert_eq!(about("/dirt"), [4, 7, 11], "until it is renamed");
    assert_eq!(about("/dir/new"), [11, 12]);
    assert_eq!(about("/"), [2, 3, 4, 5, 6, 7, 9, 10, 11, 12]);
    assert!(about("/none").is_empty());
}

#[test]
fn all_conditions_must_hold() {
    let filter = Filter {
        messages: vec![MessageId::FSTAT],
        paths: vec![b"/dir".to_vec()],
        until: Some(Duration::from_millis(6)),
        ..Filter::default()
    };
    assert_eq!(left(&filter), [5]);
}
