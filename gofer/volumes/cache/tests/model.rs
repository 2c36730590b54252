//! Random changes, beside a model of what files are.

mod common;

use std::collections::HashMap;

use gofer_cache::{Limits, Options};
use lisafs::backend::{Access, AllocateFlags, OpenBox, SetStat};

use common::{Scene, back, bytes, content, create, exclusive, open_file, read, strict, walk, write};

const LONGEST: u64 = 3 << 20;

struct Story {
    random: fastrand::Rng,
    scene: Scene,
    files: HashMap<String, Vec<u8>>,
    open: Vec<(String, OpenBox)>,
    /// Others change the files.
    is_shared: bool,
}

impl Story {
    fn new(seed: u64, options: &Options, limit: u64) -> Self {
        let scene = Scene::with(options, Limits::new(limit, Some(0)), false);
        let is_shared = options.access == gofer_cache::Access::Shared;
        let mut story =
            Story { random: fastrand::Rng::with_seed(seed), scene, files: HashMap::new(), open: Vec::new(), is_shared };
        for entry in ["a", "b", "c"] {
            story.open.push((entry.to_owned(), create(&story.scene.claim, entry)));
            story.files.insert(entry.to_owned(), Vec::new());
        }
        story
    }

    fn entry(&mut self) -> String {
        self.random.choice(["a", "b", "c"]).unwrap().to_owned()
    }

    fn resize(&mut self, entry: &str, size: u64) {
        self.files.get_mut(entry).unwrap().resize(usize::try_from(size).unwrap(), 0);
    }

    fn step(&mut self) {
        let entry = self.entry();
        let offset = self.random.u64(0..LONGEST);
        let len = if self.random.bool() { self.random.usize(1..5000) } else { self.random.usize(1..300_000) };
        let size = self.files[&entry].len() as u64;
        match self.random.u8(0..20) {
            0..=3 => {
                // At the end, now and then.
                let offset = if self.random.bool() { size.min(LONGEST) } else { offset };
                let data = bytes(self.random.u64(..), len);
                let end = offset + len as u64;
                let file = self.handle(&entry, true);
                write(&file, offset, &data);
                if end > size {
                    self.resize(&entry, end);
                }
                let offset = usize::try_from(offset).unwrap();
                self.files.get_mut(&entry).unwrap()[offset..offset + len].copy_from_slice(&data);
            }
            4 => {
                walk(&self.scene.claim, &entry).file.set_stat(&SetStat::new().size(offset)).unwrap();
                self.resize(&entry, offset);
            }
            5 => {
                let file = self.handle(&entry, true);
                file.allocate(AllocateFlags::empty(), offset, len as u64).unwrap();
                self.resize(&entry, size.max(offset + len as u64));
            }
            6 => {
                let file = self.handle(&entry, true);
                file.allocate(AllocateFlags::PUNCH_HOLE | AllocateFlags::KEEP_SIZE, offset, len as u64).unwrap();
                let (start, end) = (offset.min(size), (offset + len as u64).min(size));
                let range = usize::try_from(start).unwrap()..usize::try_from(end).unwrap();
                self.files.get_mut(&entry).unwrap()[range].fill(0);
            }
            7 if self.is_shared => {
                let data = bytes(self.random.u64(..), len);
                self.scene.put(&entry, &data);
                self.files.insert(entry, data);
            }
            8 => drop(self.open.pop()),
            9 => {
                let access = if self.random.bool() { Access::Read } else { Access::ReadWrite };
                self.open.push((entry.clone(), open_file(&self.scene.claim, &entry, access)));
            }
            10 => assert!(content(&self.scene.claim, &entry) == self.files[&entry], "all of {entry}"),
            _ => {
                let file = self.handle(&entry, false);
                let expected = &self.files[&entry];
                let start = usize::try_from(offset).unwrap().min(expected.len());
                let end = (start + len).min(expected.len());
                assert!(read(&file, offset, len) == expected[start..end], "{len} bytes of {entry} at {offset}");
            }
        }
    }

    /// A file that is open: for long, where nobody else could have changed it since.
    fn handle(&mut self, entry: &str, writes: bool) -> OpenBox {
        let mut of_it = self.open.iter().position(|(name, _)| name == entry);
        if writes || self.is_shared {
            of_it = None;
        }
        match of_it {
            Some(index) => self.open.swap_remove(index).1,
            None => open_file(&self.scene.claim, entry, if writes { Access::ReadWrite } else { Access::Read }),
        }
    }

    fn tell(mut self, steps: usize) {
        for _ in 0..steps {
            self.step();
        }
        self.scene.settle();
        for (entry, expected) in &self.files {
            assert!(content(&self.scene.claim, entry) == *expected);
            assert!(std::fs::read(self.scene.files.path().join(entry)).unwrap() == *expected, "in the backend");
        }
        self.open.clear();
        let scene = self.scene.again(&exclusive());
        for (entry, expected) in &self.files {
            assert!(content(&scene.claim, entry) == *expected, "{entry}, of the next process");
        }
    }
}

/// `CACHE_SEEDS=100` tells as many stories of each kind.
fn seeds() -> std::ops::Range<u64> {
    0..std::env::var("CACHE_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(2)
}

#[test]
fn of_one_user() {
    seeds().for_each(|seed| Story::new(seed, &exclusive(), 1 << 30).tell(400));
}

#[test]
fn of_one_user_with_little_room() {
    seeds().for_each(|seed| Story::new(seed, &exclusive(), 2 << 20).tell(400));
}

#[test]
fn of_one_user_who_writes_back() {
    seeds().for_each(|seed| Story::new(seed, &back(), 1 << 30).tell(400));
}

#[test]
fn of_one_user_who_writes_back_with_little_room() {
    let mut options = back();
    options.dirty = Some(1 << 20);
    seeds().for_each(|seed| Story::new(seed, &options, 3 << 20).tell(400));
}

#[test]
fn of_two_users() {
    seeds().for_each(|seed| Story::new(seed, &strict(), 4 << 20).tell(400));
}
