//! A file to which all append.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result, ensure};

/// Bytes of an entry.
const LEN: usize = 24;

pub(crate) struct Log {
    path: PathBuf,
    /// How many entries each user has appended.
    done: Vec<AtomicU64>,
}

impl Log {
    pub(crate) fn new(directory: &Path, users: usize) -> Result<Self> {
        let path = directory.join("log");
        File::create_new(&path)?;
        Ok(Log { path, done: (0..users).map(|_| AtomicU64::new(0)).collect() })
    }

    /// Appends the user's next entry.
    pub(crate) fn append(&self, user: usize) -> Result<()> {
        let number = self.done[user].load(Ordering::SeqCst);
        let entry = [user as u64 + 1, number, !number].map(u64::to_le_bytes).concat();
        let count = File::options().append(true).open(&self.path)?.write(&entry).context("log")?;
        ensure!(count == LEN, "log: {count} bytes of an entry");
        self.done[user].store(number + 1, Ordering::SeqCst);
        Ok(())
    }

    /// Reads all of it: entries of each user are there in their order.
    pub(crate) fn look(&self) -> Result<()> {
        let done: Vec<u64> = self.done.iter().map(|done| done.load(Ordering::SeqCst)).collect();
        let bytes = fs::read(&self.path)?;
        let mut found = vec![0; done.len()];
        let (entries, rest) = bytes.as_chunks::<LEN>();
        ensure!(rest.is_empty(), "log: {} bytes more than entries", rest.len());
        for (at, entry) in entries.iter().enumerate() {
            let (words, _) = entry.as_chunks::<8>();
            let [user, number, inverse] = [0, 1, 2].map(|word: usize| u64::from_le_bytes(words[word]));
            let of_user = usize::try_from(user).ok().and_then(|user| found.get_mut(user.checked_sub(1)?));
            let expected = of_user.with_context(|| format!("log: entry {at} is {entry:?}"))?;
            ensure!(number == *expected && inverse == !number, "log: entry {at} is {entry:?}, not number {expected}");
            *expected += 1;
        }
        for (user, (found, done)) in found.iter().zip(&done).enumerate() {
            ensure!(found >= done, "log: {found} entries of user {user}, who has appended {done}");
        }
        Ok(())
    }

    /// Bytes that there have to be.
    pub(crate) fn len(&self) -> u64 {
        self.done.iter().map(|done| done.load(Ordering::SeqCst)).sum::<u64>() * LEN as u64
    }
}
