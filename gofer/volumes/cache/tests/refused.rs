//! What the backend refuses is not done to changes that are not uploaded, either.

mod common;

use gofer::extensions::wrap::Call;
use gofer_cache::Limits;
use lisafs::backend::{Access, Errno, OpenHow, SetStat, Timespec, Unlink};

use common::killed::{below, close, closed, error_of};
use common::{Scene, back, bytes, content, create, dirty, name, open_file, root, walk, write};

fn refuse(scene: &Scene, refused: Option<(Call, Errno)>) {
    *scene.layer.refused.lock().unwrap() = refused;
}

#[test]
fn a_refused_open_does_not_empty_a_file() {
    let scene = closed();
    write(&create(&scene.claim, "file"), 0, b"data");
    refuse(&scene, Some((Call::Open, Errno::ACCESS)));
    let how = OpenHow::new(Access::Write).truncate(true);
    assert_eq!(error_of(walk(&scene.claim, "file").file.open(how)), Errno::ACCESS);
    refuse(&scene, None);
    assert_eq!(content(&scene.claim, "file"), b"data");
}

#[test]
fn a_refused_time_is_not_set() {
    let scene = closed();
    let file = create(&scene.claim, "file");
    write(&file, 0, b"data");
    let mtime = || walk(&scene.claim, "file").stat.mtime;
    let before = mtime();
    refuse(&scene, Some((Call::SetStat, Errno::PERM)));
    let change = SetStat::new().mtime(Timespec { sec: 1_000_000, nsec: 7 });
    let set = || walk(&scene.claim, "file").file.set_stat(&change);
    assert_eq!(set().unwrap_err().error.errno(), Errno::PERM);
    assert_eq!(mtime(), before);
    refuse(&scene, None);
    set().unwrap();
    close(&scene, None);
    file.sync().unwrap();
    let mtime = mtime();
    assert_eq!((mtime.sec, mtime.nsec), (1_000_000, 7));
}

#[test]
fn one_file_that_cannot_be_uploaded_does_not_fail_others() {
    let mut options = back();
    options.dirty = Some(100_000);
    let scene = Scene::with(&options, Limits::new(1 << 30, Some(0)), false);
    close(&scene, Some(Errno::ACCESS));
    write(&create(&scene.claim, "bad"), 0, b"bad");
    assert_eq!(error_of(open_file(&scene.claim, "bad", Access::Write).sync()), Errno::ACCESS);
    close(&scene, None);
    // What is the matter with it is not asked again at once, and others are uploaded meanwhile.
    let good = create(&scene.claim, "good");
    for offset in (0..1_000_000).step_by(50_000) {
        write(&good, offset, &bytes(offset, 50_000));
    }
    good.sync().unwrap();
    assert_eq!(below(&scene, "good").len(), 1_000_000);
}

#[test]
fn what_is_flushed_is_tried_again_at_once() {
    let scene = closed();
    let file = create(&scene.claim, "file");
    write(&file, 0, b"data");
    // Until it waits long.
    for _ in 0..4 {
        assert_eq!(error_of(file.sync()), Errno::NOSPC);
    }
    close(&scene, None);
    scene.claim.backend.detach();
    assert_eq!((dirty(scene.cache.path()), below(&scene, "file")), (0, b"data".to_vec()));
}

#[test]
fn what_is_removed_takes_no_room() {
    let scene = closed();
    let file = create(&scene.claim, "file");
    write(&file, 0, b"data");
    for _ in 0..4 {
        assert_eq!(error_of(file.sync()), Errno::NOSPC);
    }
    let position = walk(&scene.claim, "file");
    root(&scene.claim).unlink(name("file"), Unlink::File).unwrap();
    let failures = scene.counts().upload_failures;
    drop((file, position));
    let start = std::time::Instant::now();
    while dirty(scene.cache.path()) > 0 {
        assert!(start.elapsed().as_secs() < 30, "it is never forgotten");
        std::thread::yield_now();
    }
    // At most, somebody was about to try.
    assert!(scene.counts().upload_failures <= failures + 2);
}
