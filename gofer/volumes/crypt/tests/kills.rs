//! Processes that are killed while they write: what they were not writing is as it was, and each block of what they
//! were is old or new.

mod common;

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use gofer_crypt::directory::{config_path, load_config};
use gofer_crypt::fsck::{Finding, Observer, check};
use lisafs::backend::{Access, Backend, Mode, NO_ID, Name, NewFile, OpenHow, SetStat};

use common::DEFAULT;
use common::change::{Change, Numbers, is_between, read, walk};

/// What `fsck` finds.
#[derive(Default)]
struct Damage(Vec<String>);

impl Observer for Damage {
    fn found(&mut self, finding: &Finding) {
        self.0.push(finding.to_string());
    }
}

/// Names how many kills there are to be.
const KILLS: &str = "CRYPT_KILLS";

/// What is killed: says in a file how many changes it has begun and how many are made.
///
/// The other test starts it as a process of its own; by itself it has nothing to do.
#[test]
fn writer() {
    let variable = |name: &str| std::env::var(name).unwrap();
    let Some(volume) = std::env::var_os("CRYPT_VOLUME") else { return };
    let volume = common::open(Path::new(&volume));
    let progress = File::options().write(true).open(variable("CRYPT_PROGRESS")).unwrap();
    let control = walk(&volume, "written");
    let file = control.open(OpenHow::new(Access::ReadWrite)).unwrap().file;
    let mut numbers = Numbers(variable("CRYPT_SEED").parse().unwrap());
    let mut size = file.stat().unwrap().size;
    for count in 0_u64.. {
        let change = Change::next(&mut numbers, size);
        progress.write_all_at(&(count + 1).to_ne_bytes(), 0).unwrap();
        match &change {
            Change::Write(at, bytes) => {
                assert_eq!(file.write_at((&bytes[..]).into(), *at).unwrap(), bytes.len());
                size = size.max(at + bytes.len() as u64);
            }
            Change::Size(wanted) => {
                control.set_stat(&SetStat::new().size(*wanted)).unwrap();
                size = *wanted;
            }
        }
        progress.write_all_at(&(count + 1).to_ne_bytes(), 8).unwrap();
    }
}

#[test]
fn a_killed_writer_leaves_blocks_whole() {
    let kills = std::env::var(KILLS).ok().and_then(|kills| kills.parse().ok()).unwrap_or(30);
    // In memory, where most writes are caught in the middle.
    let directory = tempfile::tempdir_in("/dev/shm").unwrap();
    common::make(directory.path(), DEFAULT);
    let progress = directory.path().with_extension("progress");
    let idle: Vec<u8> = (0..251).cycle().take(50_000).collect();
    {
        let volume = common::open(directory.path());
        let root = volume.attach().unwrap().root.file;
        for (name, content) in [("idle", &idle[..]), ("written", b"")] {
            let new = NewFile::new(Mode::new(0o600), NO_ID, NO_ID);
            let file = root.create(Name::new(name.as_bytes()).unwrap(), &new, Access::Write).unwrap().opened.file;
            assert_eq!(file.write_at(content.into(), 0).unwrap(), content.len());
        }
    }
    let (mut content, mut moments) = (Vec::new(), Numbers(u64::from(std::process::id())));
    let mut caught = 0;
    for seed in 0..kills {
        fs::write(&progress, [0; 16]).unwrap();
        let mut writer = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "writer", "--nocapture"])
            .env("CRYPT_VOLUME", directory.path())
            .env("CRYPT_PROGRESS", &progress)
            .env("CRYPT_SEED", seed.to_string())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let counts = || {
            let bytes = fs::read(&progress).unwrap();
            let number = |at: usize| u64::from_ne_bytes(bytes[at..at + 8].try_into().unwrap());
            (number(0), number(8))
        };
        // Some changes later, and then at any moment of one.
        let (wanted, begun) = (moments.below(20) + 1, Instant::now());
        while counts().0 < wanted {
            assert!(begun.elapsed() < Duration::from_secs(60), "the writer does not write");
            assert!(writer.try_wait().unwrap().is_none(), "the writer has ended");
            std::thread::yield_now();
        }
        let moment = Instant::now() + Duration::from_micros(moments.below(1000));
        while Instant::now() < moment {
            std::hint::spin_loop();
        }
        writer.kill().unwrap();
        writer.wait().unwrap();

        // Nothing is lost that the next mount makes whole.
        let config = config_path(directory.path());
        let keys = load_config(&config).unwrap();
        let keys = keys.unlock(&common::password()).unwrap().keys(&keys);
        let mut damage = Damage::default();
        let summary = check(directory.path(), &config, &keys, &mut damage).unwrap();
        assert!(summary.is_clean(), "after kill {seed}: {:?}", damage.0);

        let (begun, made) = counts();
        let mut numbers = Numbers(seed);
        let mut next = |content: &Vec<u8>| Change::next(&mut numbers, content.len() as u64);
        for _ in 0..made {
            next(&content).apply(&mut content);
        }
        let mut new = content.clone();
        if begun > made {
            next(&content).apply(&mut new);
            caught += 1;
        }
        let volume = common::open(directory.path());
        assert!(read(&walk(&volume, "idle")) == idle, "the other file, after kill {seed}");
        let now = read(&walk(&volume, "written"));
        is_between(&now, &content, &new);
        content = now;
    }
    fs::remove_file(&progress).unwrap();
    assert!(caught > 0, "nobody was killed while writing");
    // Nothing of ours is left but the volume: configuration, vector, two files.
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 4);
}
