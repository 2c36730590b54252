//! What was written through a cache is in it.

mod common;

use gofer::extensions::wrap::Call;
use lisafs::backend::{Access, Name, Unlink};

use common::{Scene, bytes, content, create, exclusive, name, open_file, root, stored, write};

/// More than stay open once they are closed.
const FILES: u64 = 1500;

fn entry(number: u64) -> String {
    format!("file-{number}")
}

#[test]
fn what_is_written_is_there_when_the_next_process_reads_it() {
    let scene = Scene::new(&exclusive());
    for number in 0..FILES {
        write(&create(&scene.claim, &entry(number)), 0, &bytes(number, 5000));
    }
    // Another time, and a part of it.
    write(&open_file(&scene.claim, &entry(7), Access::Write), 100, b"more");
    scene.claim.backend.detach();
    let scene = scene.again(&exclusive());
    for number in 0..FILES {
        let mut wanted = bytes(number, 5000);
        if number == 7 {
            wanted[100..104].copy_from_slice(b"more");
        }
        assert!(content(&scene.claim, &entry(number)) == wanted, "{number}");
    }
    // One for the time of access, perhaps, but none for the data.
    assert_eq!((scene.counts().misses, scene.layer.take_largest() < 2), (0, true));
}

#[test]
fn what_is_removed_before_it_is_closed_leaves_nothing() {
    let scene = Scene::new(&exclusive());
    let file = create(&scene.claim, "file");
    write(&file, 0, b"data");
    root(&scene.claim).unlink(name("file"), Unlink::File).unwrap();
    drop(file);
    scene.claim.backend.detach();
    let scene = scene.again(&exclusive());
    assert_eq!(stored(scene.cache.path(), "map").len(), 0);
    assert_eq!(scene.layer.take(Call::Read), 0);
}

#[test]
fn what_is_written_while_others_have_it_open_is_theirs_too() {
    let scene = Scene::new(&exclusive());
    let (one, two) = (create(&scene.claim, "file"), open_file(&scene.claim, "file", Access::ReadWrite));
    for round in 0..200_u8 {
        let writer = if round % 2 == 0 { &one } else { &two };
        write(writer, u64::from(round) * 10, &[round; 10]);
        // Its version is found out while the others go on.
        let three = open_file(&scene.claim, "file", Access::Write);
        write(&three, 5, &[round]);
        drop(three);
    }
    let mut wanted: Vec<u8> = (0..200).flat_map(|round| [round; 10]).collect();
    wanted[5] = 199;
    assert!(content(&scene.claim, "file") == wanted);
    drop((one, two));
    scene.claim.backend.detach();
    let scene = scene.again(&exclusive());
    assert!(content(&scene.claim, "file") == wanted);
    assert!(root(&scene.claim).walk(Name::new(b"file").unwrap()).unwrap().stat.size == 2000);
}
