//! What the collector deletes, and what it leaves alone.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, PutMultipartOptions, PutOptions,
    PutPayload, PutResult, Result,
};

use super::*;
use crate::{Collected, segment};

fn collect(fs: &BlobFs) -> Collected {
    fs.volume().collect(Age::Noted).unwrap()
}

#[test]
fn what_nothing_refers_to_is_deleted() {
    let scene = Scene::hasty();
    let fs = BlobFs::new(scene.open());
    let root = root(&fs);
    create(&root, "a", &noise(12 << 20, 1));
    create(&root, "b", &noise(100_000, 2));
    sync(&fs);
    assert_eq!(scene.segments().len(), 2);
    root.unlink(name("a"), Unlink::File).unwrap();
    sync(&fs);
    // What is dead may be in one segment with what is not.
    while !scene.segments().len().eq(&1) {
        collect(&fs);
    }
    assert!(read(&root, "b") == Ok(noise(100_000, 2)));
    sync(&fs);
    let after = BlobFs::new(scene.crash().open());
    assert!(read(&self::root(&after), "b") == Ok(noise(100_000, 2)));
    assert_eq!(after.volume().scan(&key::segments(), 10).unwrap().records.len(), 1);
}

#[test]
fn nothing_is_deleted_before_its_time() {
    let scene = Scene::new();
    let fs = BlobFs::new(scene.open());
    let root = root(&fs);
    create(&root, "a", &noise(100_000, 1));
    sync(&fs);
    root.unlink(name("a"), Unlink::File).unwrap();
    sync(&fs);
    for age in [Age::Noted, Age::Seen] {
        assert_eq!(fs.volume().collect(age).unwrap(), Collected::default());
    }
    assert_eq!(scene.segments().len(), 1);
}

#[test]
fn what_any_snapshot_needs_stays() {
    let scene = Scene::hasty();
    let fs = BlobFs::new(scene.open());
    let root = root(&fs);
    let manager = scene.manager();
    // By the process that writes, which is asked.
    manager.snapshot("before", false).unwrap();
    create(&root, "a", &noise(100_000, 1));
    sync(&fs);
    manager.snapshot("with", false).unwrap();
    root.unlink(name("a"), Unlink::File).unwrap();
    sync(&fs);
    manager.snapshot("after", false).unwrap();
    let collected = collect(&fs);
    assert_eq!((collected.deleted, collected.kept), (0, 1));
    let names = |manager: &Manager| manager.snapshots().unwrap().into_iter().map(|it| it.name).collect::<Vec<_>>();
    assert!(["before", "with", "after"].iter().all(|name| names(&manager).contains(&(*name).to_owned())));
    assert!(matches!(manager.snapshot("with", false), Err(Error::SnapshotExists { .. })));
    assert!(matches!(manager.snapshot("a/b", false), Err(Error::SnapshotName(_))));
    {
        let then = BlobFs::new(scene.again("memory:?checkpoint=with").open());
        assert!(read(&self::root(&then), "a") == Ok(noise(100_000, 1)));
        let before = BlobFs::new(scene.again("memory:?checkpoint=before").open());
        assert_eq!(read(&self::root(&before), "a"), Err(Errno::NOENT));
    }
    manager.delete_snapshot("with").unwrap();
    assert!(matches!(manager.delete_snapshot("with"), Err(Error::NoCheckpoint { .. })));
    let collected = collect(&fs);
    assert_eq!((collected.deleted, collected.kept, scene.segments()), (1, 0, vec![]));
}

#[test]
fn what_a_reader_sees_stays() {
    // It covers a reader while its view moves from one state to the next, every two seconds.
    let mut scene = Scene::hasty();
    scene.location.options.horizon = Duration::from_secs(4);
    let fs = BlobFs::new(scene.open());
    let root = root(&fs);
    create(&root, "a", &noise(100_000, 1));
    sync(&fs);
    // So that the last manifest knows of it.
    fs.volume().wait(fs.volume().meta.flush_for_checkpoints()).unwrap();
    let reader = BlobFs::new(scene.again("memory:?ro").open());
    let held = self::root(&reader);
    root.unlink(name("a"), Unlink::File).unwrap();
    sync(&fs);
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    loop {
        let is_seen = read(&held, "a");
        let collected = collect(&fs);
        match is_seen {
            Ok(content) => assert!(content == noise(100_000, 1)),
            // It follows: now nobody needs it.
            Err(Errno::NOENT) if collected.deleted == 1 || scene.segments().is_empty() => return,
            // Between finding and reading it.
            Err(Errno::STALE) => {}
            Err(errno) => assert_eq!(errno, Errno::NOENT),
        }
        assert!(std::time::Instant::now() < deadline, "the reader does not follow");
        std::thread::yield_now();
    }
}

#[test]
fn mostly_dead_segments_are_repacked() {
    let scene = Scene::hasty();
    let mut fs = BlobFs::new(scene.open());
    let content = |number: u32| noise(100_000, number);
    for number in 0..40 {
        create(&root(&fs), &format!("f{number}"), &content(number));
    }
    sync(&fs);
    let before = scene.segments();
    assert_eq!(before.len(), 1);
    fs.volume().wait(fs.volume().meta.keep("all")).unwrap();
    for number in (0..40).filter(|number| number % 4 != 0) {
        root(&fs).unlink(name(&format!("f{number}")), Unlink::File).unwrap();
    }
    sync(&fs);
    // One that has changed since is not moved, nor is one that goes.
    let changed = root(&fs).walk(name("f4")).unwrap().file.open(OpenHow::new(Access::ReadWrite)).unwrap();
    changed.file.write_at((&b"changed"[..]).into(), 0).unwrap();
    root(&fs).unlink(name("f8"), Unlink::File).unwrap();
    let collected = collect(&fs);
    assert_eq!((collected.repacked, collected.deleted), (1, 0));
    assert!((800_000..=1_000_000).contains(&collected.moved), "{collected:?}");
    assert_eq!(collect(&fs).kept, 1, "the snapshot needs it");
    drop(changed);
    for round in 0..2 {
        for number in (0..40).step_by(4) {
            let mut expected = content(number);
            if number == 4 {
                expected[..7].copy_from_slice(b"changed");
            }
            let found = read(&root(&fs), &format!("f{number}"));
            assert!(if number == 8 { found == Err(Errno::NOENT) } else { found == Ok(expected) }, "{round}: f{number}");
        }
        drop(fs);
        scene.manager().delete_snapshot("all").ok();
        scene.manager().collect(false).unwrap().unwrap();
        assert_eq!(scene.check(), Vec::<String>::new());
        assert!(!scene.segments().contains(&before[0]));
        fs = BlobFs::new(scene.open());
    }
    assert_eq!(fs.volume().state().files, 10);
}

#[test]
fn segments_of_dead_uploads_are_deleted() {
    let scene = Scene::hasty();
    drop(scene.open());
    let fs = BlobFs::new(scene.open());
    create(&root(&fs), "a", &noise(100_000, 1));
    sync(&fs);
    let alive = scene.segments();
    // Of an opening before this one, of this one, and of no segment at all.
    let (dead, current) = (segment::path(1 << 32 | 77), segment::path(2 << 32 | 77));
    runtime().block_on(async {
        for path in [&dead, &current, &Path::from("data/notes")] {
            scene.objects.put(path, "x".into()).await.unwrap();
        }
    });
    assert_eq!(collect(&fs).orphans, 1);
    let mut left = scene.segments();
    left.sort();
    let mut expected = [alive, vec![current, Path::from("data/notes")]].concat();
    expected.sort();
    assert_eq!(left, expected);
}

#[test]
fn who_cannot_list_deletes_nothing() {
    let fails = Arc::new(AtomicBool::new(false));
    let mut scene = Scene::hasty();
    scene.location.options.timeout = Duration::from_millis(300);
    scene.objects = Arc::new(Unlistable { inner: scene.objects.clone(), fails: fails.clone() });
    let fs = BlobFs::new(scene.open());
    create(&root(&fs), "a", &noise(100_000, 1));
    sync(&fs);
    let kept = scene.segments();
    fails.store(true, Ordering::Relaxed);
    root(&fs).unlink(name("a"), Unlink::File).unwrap();
    sync(&fs);
    fs.volume().collect(Age::Noted).unwrap_err();
    fails.store(false, Ordering::Relaxed);
    assert_eq!(scene.segments(), kept);
    while !scene.segments().is_empty() {
        collect(&fs);
    }
}

/// A store that cannot be listed now and then.
#[derive(Debug)]
struct Unlistable {
    inner: Arc<dyn ObjectStore>,
    fails: Arc<AtomicBool>,
}

impl fmt::Display for Unlistable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl Unlistable {
    fn check(&self) -> Result<()> {
        let refused = || object_store::Error::Generic { store: "test", source: "listing is refused".into() };
        if self.fails.load(Ordering::Relaxed) { Err(refused()) } else { Ok(()) }
    }
}

#[async_trait::async_trait]
impl ObjectStore for Unlistable {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.inner.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(&self, at: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(at, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        match self.check() {
            Ok(()) => self.inner.list(prefix),
            Err(error) => stream::once(async { Err(error) }).boxed(),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.check()?;
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

#[test]
fn a_snapshot_that_is_looked_at_can_be_deleted() {
    let scene = Scene::hasty();
    let content = noise(300_000, 1);
    create(&root(&BlobFs::new(scene.open())), "file", &content);
    scene.manager().snapshot("kept", false).unwrap();
    let look = BlobFs::new(scene.again("memory:?checkpoint=kept").open());
    root(&BlobFs::new(scene.open())).unlink(name("file"), Unlink::File).unwrap();
    scene.manager().delete_snapshot("kept").unwrap();
    assert_eq!(scene.manager().collect(false).unwrap().unwrap().kept, 1);
    assert!(read(&root(&look), "file") == Ok(content));
    drop(look);
    assert_eq!(scene.manager().collect(false).unwrap().unwrap().deleted, 1);
}
