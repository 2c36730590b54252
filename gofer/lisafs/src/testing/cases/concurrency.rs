//! Calls that come at once.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use crate::backend::{Access, Errno, RenameFlags};
use crate::testing::scene::{Scene, content, create, fails, name, names, ok, own, read, rename, unlink, walk, write};

const THREADS: usize = 4;
const ROUNDS: usize = 50;

/// Tells the others at its end, also if that is a panic.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Whether calls about one directory may come at once: a backend that has the server's locks relies on them.
fn are_calls_at_once(scene: &Scene) -> bool {
    if !scene.is_concurrent() {
        eprintln!("left out: the backend has the server keep calls apart");
    }
    scene.is_concurrent()
}

pub(in crate::testing) fn one_of_many_creates_a_name(scene: &Scene) {
    if !are_calls_at_once(scene) {
        return;
    }
    let root = scene.root();
    for round in 0..ROUNDS {
        let (entry, created) = (format!("file-{round}"), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| match root.create(name(&entry), &own(0o600), Access::Read) {
                    Ok(_) => drop(created.fetch_add(1, Ordering::Relaxed)),
                    error => fails(error, &[Errno::EXIST], "create of a name that is taken"),
                });
            }
        });
        assert_eq!(created.into_inner(), 1, "{entry} was created more than once, or never");
    }
}

pub(in crate::testing) fn nobodys_file_is_lost(scene: &Scene) {
    if !are_calls_at_once(scene) {
        return;
    }
    let root = scene.root();
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let root = &root;
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    write(&*create(&**root, &format!("{thread}-{round}")), 0, &[thread.to_ne_bytes()[0]; 100]);
                    if round % 2 == 0 {
                        ok(unlink(&**root, &format!("{thread}-{round}")), "unlink");
                    }
                }
            });
        }
    });
    assert_eq!(names(&*root).len(), THREADS * ROUNDS / 2);
    for thread in 0..THREADS {
        let file = crate::testing::scene::open(&*walk(&*root, &format!("{thread}-1")).file, Access::Read);
        assert_eq!(content(&*file), [thread.to_ne_bytes()[0]; 100]);
    }
}

pub(in crate::testing) fn a_replaced_name_is_always_there(scene: &Scene) {
    if !are_calls_at_once(scene) {
        return;
    }
    let root = scene.root();
    write(&*create(&*root, "name"), 0, b"content");
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let _done = Done(&done);
            for _ in 0..ROUNDS {
                write(&*create(&*root, "new"), 0, b"content");
                ok(rename((&*root, "new"), (&*root, "name"), RenameFlags::Replace), "rename");
            }
        });
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let found = walk(&*root, "name");
                assert_eq!(found.stat.size, 7, "it is one file or the other, each of them whole");
            }
        });
    });
}

pub(in crate::testing) fn writers_of_one_file_do_not_disturb_each_other(scene: &Scene) {
    const PART: usize = 5000;
    if !are_calls_at_once(scene) {
        return;
    }
    let root = scene.root();
    let file = create(&*root, "file");
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let file = &file;
            scope.spawn(move || {
                let bytes = [thread.to_ne_bytes()[0] + 1; PART];
                for part in (thread..THREADS * 10).step_by(THREADS) {
                    write(&**file, (part * PART) as u64, &bytes);
                    assert_eq!(read(&**file, (part * PART) as u64, PART), bytes);
                }
            });
        }
    });
    let all = content(&*file);
    assert_eq!(all.len(), THREADS * 10 * PART);
    for (part, bytes) in all.chunks(PART).enumerate() {
        assert!(bytes.iter().all(|byte| *byte == (part % THREADS).to_ne_bytes()[0] + 1), "part {part}");
    }
}
