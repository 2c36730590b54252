//! What it costs to look at many files.

use super::*;
use crate::node::ROOT;
use crate::record::Entry;

const FILES: u64 = 3000;

/// As many requests are few: each for 4 KiB would be more than 40.
const FEW: u64 = 20;

/// How many tables of the database, or parts of them, are read while `work` is done.
fn reads(fs: &BlobFs, work: impl FnOnce()) -> u64 {
    let before = fs.volume().store.requests.tables();
    work();
    fs.volume().store.requests.tables() - before
}

#[test]
fn a_directory_and_its_files_are_few_requests() {
    let scene = Scene::new();
    let fs = BlobFs::new(scene.open());
    let dir = root(&fs);
    for number in 0..FILES {
        drop(dir.create(name(&format!("a file with a name {number}")), &new(), Access::ReadWrite).unwrap());
    }
    sync(&fs);
    // What is in the log would be in memory after the next opening.
    fs.volume().wait(fs.volume().meta.flush_for_checkpoints()).unwrap();
    drop((dir, fs));
    let fs = BlobFs::new(scene.open());
    let (volume, mut listed) = (fs.volume().clone(), Vec::<Entry>::new());
    let listing = reads(&fs, || {
        let dir = volume.node(ROOT).unwrap();
        let page = volume.scan(&key::buckets_from(dir.ino, 0), usize::MAX).unwrap();
        listed.extend(
            page.records.iter().flat_map(|(_, value)| decode::<crate::record::Bucket>("entries", value).unwrap().0),
        );
    });
    assert_eq!(listed.len() as u64, FILES);
    assert!(listing <= FEW, "{listing} to list");
    let ahead = reads(&fs, || {
        volume.warm(listed.iter()).into_iter().for_each(|part| volume.wait(part).unwrap());
    });
    assert!(ahead <= FEW, "{ahead} to read ahead");
    let looking = reads(&fs, || {
        let dir = volume.node(ROOT).unwrap();
        for entry in &listed {
            assert_eq!(volume.lookup(&dir, &entry.name).unwrap().ino, entry.ino);
        }
    });
    assert!(looking <= FEW, "{looking} to look at all files");
}

#[test]
fn the_log_is_read_once_after_a_crash() {
    const SYNCED: u64 = 40;
    let scene = Scene::new();
    let fs = BlobFs::new(scene.open());
    for number in 0..SYNCED {
        create(&root(&fs), &number.to_string(), b"content").opened.file.sync().unwrap();
    }
    let left = scene.crash();
    drop(fs);
    let fs = BlobFs::new(left.open());
    let gets = fs.volume().store.requests.counts().get;
    // About 100, and what the database's housekeeping adds meanwhile; more than 300 if nothing were remembered.
    assert!(gets < 5 * SYNCED, "{gets} to open it");
    assert_eq!(read(&root(&fs), "39"), Ok(b"content".to_vec()));
}

#[test]
fn a_long_log_becomes_a_table() {
    let scene = Scene::new();
    let fs = BlobFs::new(scene.open());
    let before = fs.volume().meta.table_bytes();
    for number in 0..crate::meta::LOGGED {
        create(&root(&fs), &number.to_string(), b"content").opened.file.sync().unwrap();
    }
    // Nobody waits for it but this.
    while fs.volume().meta.table_bytes() <= before {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}
