//! Whole volumes on a store in memory: what they keep, and what is left of them after a crash.

mod check;
mod clones;
mod collect;
mod head;
mod requests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt;
use lisafs::backend::{
    Access, AllocateFlags, Backend, ControlBox, Created, Mode, Name, NewFile, OpenHow, SeekTo, SetStat, Unlink,
};
use object_store::memory::InMemory;
use object_store::{ObjectStore, ObjectStoreExt};
use proptest::prelude::*;

use crate::collect::Age;
use crate::record::{Segment, decode};
use crate::{BlobFs, Errno, Error, Location, Manager, Opened, Store, key};

lisafs::testing::suite!(
    suite,
    Capabilities::all().without(Capability::Whiteouts).without(Capability::AccessLists),
    || BlobFs::new(Scene::new().open())
);

/// A store that outlives volumes.
#[derive(Clone)]
pub(crate) struct Scene {
    objects: Arc<dyn ObjectStore>,
    location: Location,
    /// Where the volume is.
    prefix: &'static str,
}

impl Scene {
    fn new() -> Self {
        Self::with("memory:")
    }

    pub(crate) fn with(location: &str) -> Self {
        Scene { objects: Arc::new(InMemory::new()), location: Location::parse(location).unwrap(), prefix: "" }
    }

    /// One where what is dead is deleted at once.
    fn hasty() -> Self {
        let mut scene = Self::new();
        scene.location.options.horizon = Duration::ZERO;
        scene
    }

    /// The same store with other options.
    fn again(&self, location: &str) -> Self {
        Scene { location: Location::parse(location).unwrap(), ..self.clone() }
    }

    fn store(&self) -> Store {
        Store::existing(self.objects.clone(), self.prefix, "memory:test")
    }

    fn manager(&self) -> Manager {
        Manager::of(self.store(), &self.location).unwrap()
    }

    pub(crate) fn open(&self) -> Opened {
        self.try_open().unwrap()
    }

    fn try_open(&self) -> Result<Opened, Error> {
        Opened::open_in(self.store(), &self.location)
    }

    /// Every object, in another store, as a process that is killed now leaves them.
    fn crash(&self) -> Scene {
        let copy = InMemory::new();
        runtime().block_on(async {
            let objects: Vec<_> = self.objects.list(None).try_collect().await.unwrap();
            for object in objects {
                let bytes = self.objects.get(&object.location).await.unwrap().bytes().await.unwrap();
                copy.put(&object.location, bytes.into()).await.unwrap();
            }
        });
        Scene { objects: Arc::new(copy), ..self.clone() }
    }

    /// Deletes all checkpoints, those of the database's own compactions, too, which otherwise expire.
    fn forget_checkpoints(&self) {
        runtime().block_on(async {
            let admin = self.store().admin();
            for checkpoint in admin.list_checkpoints(None).await.unwrap() {
                admin.delete_checkpoint(checkpoint.id).await.unwrap();
            }
        });
    }

    fn segments(&self) -> Vec<object_store::path::Path> {
        runtime().block_on(async {
            let objects: Vec<_> = self.objects.list(Some(&"data".into())).try_collect().await.unwrap();
            objects.into_iter().map(|object| object.location).collect()
        })
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn name(text: &str) -> Name<'_> {
    Name::new(text.as_bytes()).unwrap()
}

fn new() -> NewFile {
    NewFile::new(Mode::new(0o644), 1, 2)
}

fn root(fs: &BlobFs) -> ControlBox {
    fs.attach().unwrap().root.file
}

fn create(dir: &ControlBox, at: &str, content: &[u8]) -> Created {
    let created = dir.create(name(at), &new(), Access::ReadWrite).unwrap();
    assert_eq!(created.opened.file.write_at(content.into(), 0).unwrap(), content.len());
    created
}

fn read(dir: &ControlBox, at: &str) -> Result<Vec<u8>, Errno> {
    let found = dir.walk(name(at)).map_err(|error| error.errno())?;
    let opened = found.file.open(OpenHow::new(Access::Read)).map_err(|error| error.errno())?;
    let mut bytes = vec![0xaa; usize::try_from(found.stat.size).unwrap()];
    let count = opened.file.read_at((&mut bytes[..]).into(), 0).map_err(|error| error.errno())?;
    assert_eq!(count, bytes.len());
    Ok(bytes)
}

fn sync(fs: &BlobFs) {
    fs.volume().sync().unwrap();
}

fn noise(length: usize, seed: u32) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[1]
    };
    (0..length).map(next).collect()
}

#[test]
fn everything_is_there_after_reopening() {
    for location in ["memory:", "memory:?compression=lz4", "memory:?cache=0"] {
        let scene = Scene::with(location);
        let big = noise(20 << 20, 7);
        {
            let fs = BlobFs::new(scene.open());
            let root = root(&fs);
            create(&root, "small", b"hello");
            create(&root, "zeros", &vec![0; 300_000]);
            create(&root, "big", &big);
            let dir = root.mkdir(name("dir"), &new()).unwrap();
            create(&dir.file, "empty", b"");
            root.symlink(name("link"), b"to/there", &new()).unwrap();
            root.link(name("hard"), &*root.walk(name("small")).unwrap().file).unwrap();
            dir.file.set_xattr(b"user.a", b"value", lisafs::backend::XattrFlags::empty()).unwrap();
        }
        let fs = BlobFs::new(scene.open());
        let root = root(&fs);
        assert_eq!(read(&root, "small"), Ok(b"hello".to_vec()));
        assert_eq!(read(&root, "zeros"), Ok(vec![0; 300_000]));
        assert!(read(&root, "big") == Ok(big.clone()), "{location}");
        let stat = root.walk(name("hard")).unwrap().stat;
        assert_eq!((stat.nlink, stat.uid, stat.gid, stat.mode), (2, 1, 2, 0o100_644));
        let dir = root.walk(name("dir")).unwrap();
        assert_eq!((dir.stat.nlink, read(&dir.file, "empty")), (2, Ok(Vec::new())));
        assert_eq!(dir.file.get_xattr(b"user.a").unwrap(), b"value");
        assert_eq!(root.walk(name("link")).unwrap().file.read_link().unwrap(), b"to/there");
        assert_eq!(root.stat().unwrap().nlink, 3);
    }
}

#[test]
fn what_was_synced_survives_a_crash() {
    let scene = Scene::with("memory:?interval=1m");
    let fs = BlobFs::new(scene.open());
    let root = root(&fs);
    let first = create(&root, "first", &noise(200_000, 1));
    first.opened.file.sync().unwrap();
    create(&root, "second", b"not synced");
    first.opened.file.write_at((&b"changed"[..]).into(), 0).unwrap();

    let after = BlobFs::new(scene.crash().open());
    let after = self::root(&after);
    assert!(read(&after, "first") == Ok(noise(200_000, 1)));
    assert_eq!(read(&after, "second"), Err(Errno::NOENT));
}

#[test]
fn a_crash_leaves_names_and_data_of_one_moment() {
    let scene = Scene::with("memory:?interval=1m");
    let fs = BlobFs::new(scene.open());
    let root = root(&fs);
    create(&root, "file", b"old").opened.file.sync().unwrap();
    // As editors save, but without fsync.
    create(&root, "file.new", &noise(100_000, 3));
    root.rename(name("file.new"), &*root, name("file"), lisafs::backend::RenameFlags::Replace).unwrap();
    let before = BlobFs::new(scene.crash().open());
    assert_eq!(read(&self::root(&before), "file"), Ok(b"old".to_vec()));
    root.open(OpenHow::new(Access::Read)).unwrap().file.sync().unwrap();
    let after = BlobFs::new(scene.crash().open());
    assert!(read(&self::root(&after), "file") == Ok(noise(100_000, 3)));
    assert_eq!(read(&self::root(&after), "file.new"), Err(Errno::NOENT));
}

#[test]
fn who_comes_second_takes_the_volume() {
    let scene = Scene::with("memory:?timeout=5s");
    let first = BlobFs::new(scene.open());
    let first_root = root(&first);
    create(&first_root, "before", b"1").opened.file.sync().unwrap();
    let second = BlobFs::new(scene.open());
    let lost = create(&first_root, "lost", &noise(100_000, 5));
    assert_eq!(lost.opened.file.sync().map_err(|error| error.errno()), Err(Errno::IO));
    assert_eq!(first_root.mkdir(name("d"), &new()).err().map(|error| error.errno()), Some(Errno::IO));
    let second_root = root(&second);
    create(&second_root, "after", b"2").opened.file.sync().unwrap();
    drop((first_root, lost, first));
    assert_eq!(read(&second_root, "before"), Ok(b"1".to_vec()));
    assert_eq!(read(&second_root, "after"), Ok(b"2".to_vec()));
    assert_eq!(read(&second_root, "lost"), Err(Errno::NOENT));
}

#[test]
fn files_without_names_are_deleted_when_nobody_has_them() {
    let scene = Scene::new();
    let fs = BlobFs::new(scene.open());
    let root = root(&fs);
    let created = create(&root, "f", &noise(1 << 20, 9));
    created.opened.file.sync().unwrap();
    root.unlink(name("f"), Unlink::File).unwrap();
    created.opened.file.sync().unwrap();
    let mut bytes = [0; 100];
    assert_eq!(created.opened.file.read_at((&mut bytes[..]).into(), 1000).unwrap(), 100);
    assert_eq!(bytes[..], noise(1 << 20, 9)[1000..1100]);
    // A crash with the file open.
    let crashed = scene.crash();
    drop(created);
    root.open(OpenHow::new(Access::Read)).unwrap().file.sync().unwrap();
    drop((root, fs));
    for scene in [scene, crashed] {
        drop(BlobFs::new(scene.open()));
        let opened = scene.open();
        let volume = opened.volume();
        assert_eq!((volume.state().files, volume.state().bytes), (1, 0));
        assert_eq!(volume.scan(&key::orphans(), 10).unwrap().records, []);
        assert_eq!(volume.scan(&key::chunks_from(0, 0), 10).unwrap().records, []);
        let segments = volume.scan(&key::segments(), 10).unwrap().records;
        let live: Vec<u64> =
            segments.iter().map(|(_, value)| decode::<Segment>("segment", value).unwrap().live).collect();
        assert_eq!(live, [0]);
    }
}

#[test]
fn damage_is_an_error_and_never_data() {
    let scene = Scene::with("memory:?cache=0");
    {
        let fs = BlobFs::new(scene.open());
        let root = root(&fs);
        create(&root, "a", &noise(100_000, 1)).opened.file.sync().unwrap();
        create(&root, "b", &noise(100_000, 2));
    }
    let segments = scene.segments();
    assert_eq!(segments.len(), 2);
    runtime().block_on(async {
        let mut bytes = scene.objects.get(&segments[0]).await.unwrap().bytes().await.unwrap().to_vec();
        bytes[70_000] ^= 1;
        scene.objects.put(&segments[0], bytes.into()).await.unwrap();
    });
    let fs = BlobFs::new(scene.open());
    let root = root(&fs);
    assert_eq!(read(&root, "a"), Err(Errno::IO));
    assert!(read(&root, "b") == Ok(noise(100_000, 2)));
    runtime().block_on(scene.objects.delete(&segments[0])).unwrap();
    assert_eq!(read(&root, "a"), Err(Errno::IO));
}

#[test]
fn readers_follow_and_write_nothing() {
    let scene = Scene::new();
    let fs = BlobFs::new(scene.open());
    let root = root(&fs);
    create(&root, "f", b"one").opened.file.sync().unwrap();
    let reader = BlobFs::new(scene.again("memory:?ro").open());
    assert!(reader.options().read_only);
    let reader = self::root(&reader);
    assert_eq!(read(&reader, "f"), Ok(b"one".to_vec()));
    root.unlink(name("f"), Unlink::File).unwrap();
    create(&root, "f", &noise(100_000, 4)).opened.file.sync().unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while read(&reader, "f") != Ok(noise(100_000, 4)) {
        assert!(std::time::Instant::now() < deadline, "the reader does not follow");
        std::thread::yield_now();
    }
}

#[test]
fn a_small_stack_is_enough() {
    // As threads of connections have.
    let small = || std::thread::Builder::new().stack_size(192 << 10);
    let scene = Scene::new();
    let used = small().spawn(move || {
        for _ in 0..2 {
            let fs = BlobFs::new(scene.open());
            create(&root(&fs), "f", &noise(100_000, 1)).opened.file.sync().unwrap();
            root(&fs).unlink(name("f"), Unlink::File).unwrap();
        }
        BlobFs::new(scene.again("memory:?ro").open());
    });
    used.unwrap().join().unwrap();
}

#[test]
fn other_things_are_left_alone() {
    let scene = Scene::new();
    runtime().block_on(scene.objects.put(&"photos/1.jpg".into(), "x".into())).unwrap();
    assert!(matches!(scene.try_open(), Err(Error::Foreign { found, .. }) if found == "photos/1.jpg"));
    let empty = Scene::with("file:///nowhere");
    assert!(matches!(empty.try_open(), Err(Error::Missing(_))));
    let newer = Scene::new();
    runtime().block_on(newer.objects.put(&"blob.json".into(), r#"{"format": 4}"#.into())).unwrap();
    assert!(matches!(newer.try_open(), Err(Error::Format { format: 4, known: 3, .. })));
}

/// Where data and holes of a file begin that are not where they should be.
fn outside_holes(dir: &ControlBox, content: &[u8]) -> Vec<u64> {
    let opened = dir.walk(name("f")).unwrap().file.open(OpenHow::new(Access::Read)).unwrap();
    let (mut wrong, mut at) = (Vec::new(), 0);
    while at < content.len() as u64 {
        let data = opened.file.seek(at, SeekTo::Data).unwrap_or(content.len() as u64);
        let is_hole = |range: std::ops::Range<u64>| {
            content[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()]
                .iter()
                .all(|byte| *byte == 0)
        };
        if data < at || !is_hole(at..data) {
            wrong.push(at);
        }
        if data == content.len() as u64 {
            break;
        }
        let hole = opened.file.seek(data, SeekTo::Hole).unwrap();
        // What was punched is a hole in whole blocks, and what was never written is one.
        if hole <= data || opened.file.seek(hole - 1, SeekTo::Data) != Ok(hole - 1) {
            wrong.push(data);
        }
        at = hole;
    }
    wrong
}

/// What is done to a file in the test below.
#[derive(Clone, Debug)]
enum Step {
    Write { offset: usize, length: usize, seed: u32 },
    Resize(usize),
    Punch { offset: usize, length: usize },
    Sync,
    Collect,
    Snapshot,
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    const MOST: usize = 300_000;
    prop_oneof![
        4 => (0..MOST, 1..150_000_usize, any::<u32>()).prop_map(|(offset, length, seed)| Step::Write { offset, length, seed }),
        2 => (0..MOST).prop_map(Step::Resize),
        2 => (0..MOST, 1..MOST).prop_map(|(offset, length)| Step::Punch { offset, length }),
        1 => Just(Step::Sync),
        2 => Just(Step::Collect),
        1 => Just(Step::Snapshot),
        1 => Just(Step::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn a_file_is_what_was_written(steps in proptest::collection::vec(step(), 1..30)) {
        let scene = Scene::hasty();
        let mut snapshots: Vec<Vec<u8>> = Vec::new();
        let mut model: Vec<u8> = Vec::new();
        let mut fs = BlobFs::new(scene.open());
        root(&fs).create(name("f"), &new(), Access::ReadWrite).unwrap();
        for step in steps {
            let root = root(&fs);
            let found = root.walk(name("f")).unwrap();
            let opened = found.file.open(OpenHow::new(Access::ReadWrite)).unwrap();
            match step {
                Step::Write { offset, length, seed } => {
                    let bytes = noise(length, seed);
                    opened.file.write_at((&bytes[..]).into(), offset as u64).unwrap();
                    if model.len() < offset + length {
                        model.resize(offset + length, 0);
                    }
                    model[offset..offset + length].copy_from_slice(&bytes);
                }
                Step::Resize(size) => {
                    found.file.set_stat(&SetStat::new().size(size as u64)).unwrap();
                    model.resize(size, 0);
                }
                Step::Punch { offset, length } => {
                    let flags = AllocateFlags::PUNCH_HOLE | AllocateFlags::KEEP_SIZE;
                    opened.file.allocate(flags, offset as u64, length as u64).unwrap();
                    let end = (offset + length).min(model.len());
                    model[offset.min(end)..end].fill(0);
                }
                Step::Sync => opened.file.sync().unwrap(),
                Step::Collect => drop(fs.volume().collect(Age::Noted).unwrap()),
                Step::Snapshot => {
                    opened.file.sync().unwrap();
                    fs.volume().wait(fs.volume().meta.keep(&snapshots.len().to_string())).unwrap();
                    snapshots.push(model.clone());
                }
                Step::Reopen => {
                    drop((opened, found, root));
                    drop(fs);
                    fs = BlobFs::new(scene.open());
                }
            }
            let content = read(&self::root(&fs), "f").unwrap();
            prop_assert!(content == model, "{} bytes and {}", content.len(), model.len());
            prop_assert_eq!(outside_holes(&self::root(&fs), &model), Vec::<u64>::new());
        }
        sync(&fs);
        prop_assert_eq!(scene.check(), Vec::<String>::new());
        // All space is accounted for.
        root(&fs).unlink(name("f"), Unlink::File).unwrap();
        drop(fs);
        let opened = scene.open();
        let volume = opened.volume();
        prop_assert_eq!((volume.state().files, volume.state().bytes), (1, 0));
        let segments = volume.scan(&key::segments(), 1000).unwrap().records;
        let live: BTreeMap<_, _> =
            segments.iter().map(|(key, value)| (key.clone(), decode::<Segment>("segment", value).unwrap().live)).collect();
        prop_assert!(live.values().all(|live| *live == 0), "{:?}", live);
        drop(opened);
        for (name, content) in snapshots.iter().enumerate() {
            let then = BlobFs::new(scene.again(&format!("memory:?checkpoint={name}")).open());
            prop_assert!(read(&root(&then), "f").as_ref() == Ok(content), "snapshot {}", name);
        }
        scene.forget_checkpoints();
        let collected = scene.manager().collect(false).unwrap().unwrap();
        prop_assert_eq!((collected.kept, scene.segments()), (0, vec![]));
    }
}

#[test]
fn attributes_wait_like_all_changes_when_too_much_does() {
    let fs = BlobFs::new(Scene::with("memory:?timeout=1s&interval=1m").open());
    let made = create(&root(&fs), "file", b"content");
    // As much as if the store took nothing.
    fs.volume().commits.waits(fs.volume().options.dirty, 0);
    assert!(made.found.file.set_stat(&SetStat::new().mode(Mode::new(0o600))).is_err());
    fs.volume().commits.waits(0, fs.volume().options.dirty);
    made.found.file.set_stat(&SetStat::new().mode(Mode::new(0o600))).unwrap();
}
