//! A file in which each part has one user who writes it, and all others read it.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result, ensure};
use fastrand::Rng;

use crate::{forget, read};

/// Bytes of a record: no page and no chunk of any format begins where one does.
const LEN: usize = 5000;
/// Records of each user; those of all users are mixed.
const EACH: usize = 40;

/// Numbers of the versions of a record.
#[derive(Default)]
struct Versions {
    begun: AtomicU64,
    done: AtomicU64,
}

pub(crate) struct Records {
    path: PathBuf,
    open: File,
    users: usize,
    versions: Vec<Versions>,
}

/// What a word of a record is.
fn word(record: usize, version: u64) -> [u8; 8] {
    (version << 16 | record as u64).to_le_bytes()
}

impl Records {
    pub(crate) fn new(directory: &Path, users: usize) -> Result<Self> {
        let path = directory.join("records");
        let open = File::options().create_new(true).read(true).write(true).open(&path)?;
        let records = users * EACH;
        for record in 0..records {
            open.write_all_at(&word(record, 0).repeat(LEN / 8), (record * LEN) as u64)?;
        }
        Ok(Records { path, open, users, versions: (0..records).map(|_| Versions::default()).collect() })
    }

    /// Writes one of the user's records.
    pub(crate) fn write(&self, user: usize, random: &mut Rng) -> Result<()> {
        let record = random.usize(0..EACH) * self.users + user;
        let versions = &self.versions[record];
        let version = versions.begun.fetch_add(1, Ordering::SeqCst) + 1;
        let bytes = word(record, version).repeat(LEN / 8);
        let opened = random.bool().then(|| File::options().write(true).open(&self.path)).transpose()?;
        let file = opened.as_ref().unwrap_or(&self.open);
        file.write_all_at(&bytes, (record * LEN) as u64).context("records")?;
        versions.done.store(version, Ordering::SeqCst);
        if random.u8(0..10) == 0 {
            file.sync_all().context("records, fsync")?;
        }
        Ok(())
    }

    /// Reads any record.
    pub(crate) fn look(&self, random: &mut Rng) -> Result<()> {
        let opened = random.bool().then(|| File::open(&self.path)).transpose()?;
        let file = opened.as_ref().unwrap_or(&self.open);
        if random.bool() {
            forget(file)?;
        }
        self.check(file, random.usize(0..self.versions.len()))
    }

    pub(crate) fn look_at_all(&self) -> Result<()> {
        let file = File::open(&self.path)?;
        let size = file.metadata()?.len();
        ensure!(size == (self.versions.len() * LEN) as u64, "records: {size} bytes");
        (0..self.versions.len()).try_for_each(|record| self.check(&file, record))
    }

    fn check(&self, file: &File, record: usize) -> Result<()> {
        let versions = &self.versions[record];
        let first = versions.done.load(Ordering::SeqCst);
        let bytes = read(file, (record * LEN) as u64, LEN)?;
        let last = versions.begun.load(Ordering::SeqCst);
        ensure!(bytes.len() == LEN, "record {record}: {} bytes", bytes.len());
        let (words, _) = bytes.as_chunks::<8>();
        for (at, word) in words.iter().enumerate() {
            let number = u64::from_le_bytes(*word);
            let (found, version) = (number & 0xffff, number >> 16);
            ensure!(
                found == record as u64 && (first..=last).contains(&version),
                "record {record} has version {version} of {found} at word {at}, not {first} to {last}"
            );
        }
        Ok(())
    }
}
