//! Many threads at once, and trees of extreme shape.

use std::sync::mpsc;
use std::thread;

use super::*;
use crate::extensions::memfs::inode::{Body, Inode};
use lisafs::backend::RenameFlags::{Exchange, NoReplace, Replace};
use lisafs::backend::{AllocateFlags, DirEntry, DirSink, FileType};

/// Numbers that only look random.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }

    fn name(&mut self) -> Name<'static> {
        name(["a", "b", "c"][usize::try_from(self.roll(3)).unwrap()])
    }

    /// A file somewhere in the tree.
    fn walk(&mut self, root: &ControlBox) -> Option<ControlBox> {
        let mut at = root.walk(self.name()).ok()?.file;
        for _ in 0..self.roll(4) {
            match at.walk(self.name()) {
                Ok(found) => at = found.file,
                Err(_) => break,
            }
        }
        Some(at)
    }
}

struct Nothing;

impl DirSink for Nothing {
    fn add(&mut self, _: &DirEntry<'_>) -> bool {
        true
    }
}

/// Whatever comes of it.
fn ignore<T>(_: T) {}

/// Does something to the tree. Much of it fails; it must not hang or break anything.
fn act(dice: &mut Dice, fs: &MemFs) {
    let root = fs.attach().ok().unwrap().root.file;
    let Some(dir) = dice.walk(&root) else {
        ignore(root.mkdir(dice.name(), &own(0o755)));
        return;
    };
    match dice.roll(12) {
        0 | 1 => ignore(dir.mkdir(dice.name(), &own(0o755))),
        2 => ignore(dir.create(dice.name(), &own(0o644), Access::ReadWrite)),
        3 => ignore(dir.symlink(dice.name(), b"target", &own(0))),
        4 => ignore(dir.unlink(dice.name(), Unlink::File)),
        5 => ignore(dir.unlink(dice.name(), Unlink::Directory)),
        6..=8 => {
            let other = dice.walk(&root).unwrap_or(root);
            let flags = [Replace, NoReplace, Exchange][usize::try_from(dice.roll(3)).unwrap()];
            ignore(dir.rename(dice.name(), &*other, dice.name(), flags));
        }
        9 => ignore(dice.walk(&root).map(|target| dir.link(dice.name(), &*target))),
        10 => ignore(open(&*dir, Access::Read).and_then(|dir| dir.read_dir(0, &mut Nothing))),
        _ => {
            if let Ok(file) = open(&*dir, Access::ReadWrite) {
                let offset = dice.roll(200_000);
                ignore(write(&*file, offset, b"hello"));
                ignore(read(&*file, offset, 100));
                ignore(file.allocate(AllocateFlags::from_bits_retain(3), offset, dice.roll(100_000)));
                ignore(set_size(&*dir, dice.roll(200_000)));
            }
        }
    }
}

/// Checks that the tree is a tree and that everything is counted; answers how many names and directories there are.
fn check(fs: &MemFs) -> (u64, usize) {
    use std::collections::HashMap;
    use std::sync::Arc;

    let mut links: HashMap<u64, (u32, Arc<Inode>)> = HashMap::new();
    let (mut names, mut bytes, mut dirs) = (1, 0, vec![fs.root.clone()]);
    let mut count = 0;
    while let Some(dir) = dirs.pop() {
        count += 1;
        let state = dir.read();
        let Body::Directory(entries) = &state.body else { panic!() };
        let mut subdirs = 0;
        for (_, entry) in entries.entries_from(0) {
            names += 1;
            if entry.inode.is(FileType::Directory) {
                subdirs += 1;
                let Body::Directory(child) = &entry.inode.read().body else { panic!() };
                assert!(Arc::ptr_eq(&child.parent.upgrade().unwrap(), &dir));
                dirs.push(entry.inode.clone());
            } else {
                links.entry(entry.inode.ino()).or_insert((0, entry.inode.clone())).0 += 1;
            }
        }
        assert_eq!(state.nlink, 2 + subdirs);
    }
    for (nlink, inode) in links.values() {
        assert_eq!(inode.stat().nlink, *nlink);
        bytes += match &inode.read().body {
            Body::Regular(content) => content.held(),
            Body::Symlink(target) => target.len() as u64,
            _ => 0,
        };
    }
    assert_eq!(fs.root.fs().space.used(), (bytes, names));
    (names, count)
}

#[test]
fn many_threads_leave_a_tree_and_do_not_wait_for_ever() {
    const THREADS: u64 = 8;
    const ACTS: usize = 30_000;
    let (done, all_done) = mpsc::channel();
    let fs = std::sync::Arc::new(MemFs::new(MemOptions { inodes: Some(2000), ..MemOptions::default() }).unwrap());
    for seed in 1..=THREADS {
        let (done, fs) = (done.clone(), fs.clone());
        thread::spawn(move || {
            let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            for _ in 0..ACTS {
                act(&mut dice, &fs);
            }
            done.send(()).unwrap();
        });
    }
    drop(done);
    for _ in 0..THREADS {
        all_done.recv_timeout(Duration::from_secs(120)).expect("the threads wait for each other, or one panicked");
    }
    let (names, dirs) = check(&fs);
    assert!(names > 10 && dirs > 3, "nothing happened: {names} {dirs}");
}

#[test]
fn one_file_is_written_by_many() {
    let fixture = Fixture::new();
    let file = fixture.create("f");
    thread::scope(|scope| {
        for byte in 1..=4_u8 {
            let file = &file;
            scope.spawn(move || {
                for _ in 0..500 {
                    write(&**file, 0, &[byte; 100_000]).unwrap();
                    let seen = read(&**file, 0, 100_000).unwrap();
                    assert!(seen.iter().all(|other| *other == seen[0]), "writes are mixed");
                }
            });
        }
    });
    assert_eq!(file.stat().unwrap().size, 100_000);
}

#[test]
fn a_tree_may_be_deep() {
    const DEPTH: u64 = 200_000;
    let fixture = Fixture::new();
    let mut at = fixture.mkdir("d");
    for _ in 1..DEPTH {
        at = at.mkdir(name("d"), &own(0o755)).ok().unwrap().file;
    }
    let bottom = at.stat().unwrap();
    // From end to end in one step, and into itself.
    fixture.mkdir("e");
    let err = fixture.root.rename(name("d"), &*at, name("x"), Replace);
    assert_eq!(err, Err(Error::INVAL));
    fixture.root.rename(name("e"), &*at, name("x"), Replace).unwrap();
    assert_eq!(at.stat().unwrap().nlink, bottom.nlink + 1);
    assert_eq!(fixture.used().1, DEPTH + 2);
    // Threads of a server have no larger stack.
    let stack = thread::Builder::new().stack_size(256 << 10);
    stack.spawn(move || drop((at, fixture))).unwrap().join().unwrap();
}

#[test]
fn what_is_held_survives_the_file_system() {
    let fixture = Fixture::new();
    let dir = fixture.mkdir("d");
    fixture.mkdir("d/e");
    fixture.create("d/e/f");
    drop(fixture);
    let file = dir.walk(name("e")).ok().unwrap().file.walk(name("f")).ok().unwrap().file;
    dir.rename(name("e"), &*dir, name("g"), Replace).unwrap();
    assert_eq!(write(&*open(&*file, Access::Write).ok().unwrap(), 0, b"x"), Ok(1));
}
