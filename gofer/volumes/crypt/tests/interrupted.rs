//! Changes that end after each of their steps, as a kill ends them: each block is old or new.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use gofer::extension::Claim;
use gofer::extensions::memfs::{MemFs, MemOptions};
use gofer::extensions::wrap::{Call, Layer, Wrapped};
use gofer_crypt::CryptFs;
use lisafs::backend::{
    Access, AllocateFlags, Backend, Errno, Error, Mode, NO_ID, Name, NewFile, OpenHow, Result, SetStat,
};

use common::change::{Change, is_between, read, walk};
use common::{DEFAULT, XCHACHA};

/// Bytes after which a kill can end a write.
const PAGE: usize = 4096;

/// Lets some steps be made, and then no more. A step is a call, or a page of a write.
struct Dying {
    steps: AtomicI64,
}

impl Layer for Dying {
    type Started = ();

    fn before(&self, call: Call) -> Result<()> {
        let changes = matches!(call, Call::Write | Call::SetStat | Call::Create | Call::Unlink | Call::Allocate);
        if !changes {
            return Ok(());
        }
        // Those of a write are counted when its length is known.
        let steps = self.steps.fetch_sub(i64::from(call != Call::Write), Ordering::Relaxed);
        if steps > 0 { Ok(()) } else { Err(Error::IO) }
    }

    fn after(&self, _: Call, (): (), _: std::result::Result<u64, Errno>) {}

    fn length(&self, call: Call, len: usize) -> usize {
        if call != Call::Write {
            return len;
        }
        let pages = i64::try_from(len.div_ceil(PAGE)).unwrap();
        let steps = self.steps.fetch_sub(pages, Ordering::Relaxed).max(0);
        // Where pages end does not matter here, but that blocks do not end there.
        len.min(usize::try_from(steps).unwrap().saturating_mul(PAGE))
    }
}

fn memory() -> Arc<MemFs> {
    Arc::new(MemFs::new(MemOptions::default()).unwrap())
}

fn apply(volume: &CryptFs, change: &Change) -> bool {
    let control = walk(volume, "file");
    match change {
        Change::Write(at, bytes) => {
            let file = control.open(OpenHow::new(Access::Write)).unwrap().file;
            file.write_at((&bytes[..]).into(), *at) == Ok(bytes.len())
        }
        Change::Size(size) => control.set_stat(&SetStat::new().size(*size)).is_ok(),
    }
}

#[test]
fn each_block_is_old_or_new_after_each_step() {
    let directory = tempfile::tempdir().unwrap();
    for features in [DEFAULT, XCHACHA] {
        let config = directory.path().join("config");
        std::fs::write(&config, common::config(features)).unwrap();
        let open = |claim| CryptFs::open(claim, config.to_str().unwrap(), &common::password()).unwrap();
        let old: Vec<u8> = (0..251).cycle().take(3 * 4096 + 100).collect();
        let write = |at, len| Change::Write(at, vec![0xff; len]);
        for (content, change) in [
            (&old[..0], write(0, 10_000)),
            (&old[..0], write(5000, 5000)),
            (&old, write(0, 3 * 4096)),
            (&old, write(100, 1)),
            (&old, write(4000, 8300)),
            (&old, write(3 * 4096, 10_000)),
            (&old, write(3 * 4096 + 100, 10_000)),
            (&old, write(20_000, 5000)),
            (&old[..8192], write(8192, 12_288)),
            (&old, Change::Size(5000)),
            (&old, Change::Size(8192)),
            (&old, Change::Size(20_001)),
            (&old, Change::Size(3 * 4096 + 200)),
        ] {
            let mut new = content.to_vec();
            change.apply(&mut new);
            for steps in 0.. {
                let inner = memory();
                let volume = open(Claim::new(inner.clone()));
                let root = volume.attach().unwrap().root.file;
                for (name, content) in [("file", content), ("neighbour", &old)] {
                    let file = NewFile::new(Mode::new(0o600), NO_ID, NO_ID);
                    let created = root.create(Name::new(name.as_bytes()).unwrap(), &file, Access::Write).unwrap();
                    assert_eq!(created.opened.file.write_at(content.into(), 0).unwrap(), content.len());
                }
                drop((root, volume));

                let dying = Wrapped::new(Claim::new(inner.clone()), Dying { steps: AtomicI64::new(i64::MAX) });
                let layer = dying.layer().clone();
                let volume = open(Claim::new(Arc::new(dying)));
                layer.steps.store(steps, Ordering::Relaxed);
                let is_made = apply(&volume, &change);
                // As if killed: what it would do at its end is not done any more.
                layer.steps.store(0, Ordering::Relaxed);
                drop(volume);

                // Who may only read has the same, and does not touch anything.
                let refusing = Wrapped::new(Claim::new(inner.clone()), Dying { steps: AtomicI64::new(0) });
                let layer = refusing.layer().clone();
                let reader = open(Claim::new(Arc::new(refusing)).read_only(true));
                let seen = read(&walk(&reader, "file"));
                assert!(read(&walk(&reader, "neighbour")) == old);
                drop(reader);
                assert_eq!(layer.steps.load(Ordering::Relaxed), 0, "a reader has tried to change something");

                let volume = open(Claim::new(inner));
                assert!(read(&walk(&volume, "file")) == seen, "{change:?} after {steps} steps");
                is_between(&read(&walk(&volume, "file")), content, &new);
                assert!(read(&walk(&volume, "neighbour")) == old);
                if is_made {
                    assert!(read(&walk(&volume, "file")) == new, "{change:?} is made, but not there");
                    break;
                }
            }
        }
    }
}

#[test]
fn holes_are_made_or_not() {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("config");
    std::fs::write(&config, common::config(DEFAULT)).unwrap();
    let open = |claim| CryptFs::open(claim, config.to_str().unwrap(), &common::password()).unwrap();
    let old = vec![7; 5 * 4096];
    let mut new = old.clone();
    new[3000..4 * 4096 + 100].fill(0);
    for steps in 0.. {
        let inner = memory();
        let volume = open(Claim::new(inner.clone()));
        let file = NewFile::new(Mode::new(0o600), NO_ID, NO_ID);
        let created = volume.attach().unwrap().root.file.create(Name::new(b"file").unwrap(), &file, Access::Write);
        assert_eq!(created.unwrap().opened.file.write_at((&old[..]).into(), 0).unwrap(), old.len());
        drop(volume);
        let dying = Wrapped::new(Claim::new(inner.clone()), Dying { steps: AtomicI64::new(i64::MAX) });
        let layer = dying.layer().clone();
        let volume = open(Claim::new(Arc::new(dying)));
        layer.steps.store(steps, Ordering::Relaxed);
        let file = walk(&volume, "file").open(OpenHow::new(Access::Write)).unwrap().file;
        let flags = AllocateFlags::PUNCH_HOLE | AllocateFlags::KEEP_SIZE;
        let is_made = file.allocate(flags, 3000, 4 * 4096 + 100 - 3000).is_ok();
        layer.steps.store(0, Ordering::Relaxed);
        drop((file, volume));
        let volume = open(Claim::new(inner));
        let now = read(&walk(&volume, "file"));
        is_between(&now, &old, &new);
        if is_made {
            assert!(now == new);
            break;
        }
    }
}
