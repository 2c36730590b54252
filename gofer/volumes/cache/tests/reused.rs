//! Files that have the inode number of one that is gone.

mod common;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::thread;

use gofer::extensions::wrap::Call;
use lisafs::backend::{Access, Unlink};

use common::{Scene, bytes, content, create, exclusive, name, open_file, read, root, walk, write};

#[test]
fn what_is_new_has_nothing_of_what_was_removed_meanwhile() {
    let scene = Scene::new(&exclusive());
    let path = scene.files.path().join("new");
    for turn in 0..3 {
        scene.put("old", &bytes(turn, 300_000));
        let number = fs::metadata(scene.files.path().join("old")).unwrap().ino();
        content(&scene.claim, "old");
        *scene.layer.gated.lock().unwrap() = Some(Call::Create);
        let closed = scene.layer.gate.write().unwrap();
        let file = thread::scope(|scope| {
            scene.layer.take(Call::Create);
            let created = scope.spawn(|| create(&scene.claim, "new"));
            while !scene.layer.has_seen(Call::Create) {
                thread::yield_now();
            }
            root(&scene.claim).unlink(name("old"), Unlink::File).unwrap();
            drop(closed);
            created.join().unwrap()
        });
        write(&file, 0, b"new");
        let is_reused = fs::metadata(&path).unwrap().ino() == number;
        assert_eq!(file.stat().unwrap().size, 3);
        assert_eq!(read(&file, 0, 300_000), b"new", "with the same number: {is_reused}");
        assert_eq!(walk(&scene.claim, "new").stat.size, 3);
        assert_eq!(read(&open_file(&scene.claim, "new", Access::Read), 0, 300_000), b"new");
        drop(file);
        root(&scene.claim).unlink(name("new"), Unlink::File).unwrap();
    }
}
