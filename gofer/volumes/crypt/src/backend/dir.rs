//! Listing directories.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use lisafs::backend::{DirEntry, DirSink, Errno, FileType, OpenBox, OpenFile, Result, Statx};
use parking_lot::Mutex;

use super::long::MAX_FULL;
use super::node::Node;
use super::{Volume, internal};
use crate::format::{DirIv, Entry};

/// Entries that are asked of the inner directory at once.
const BATCH: usize = 64;

/// An open directory.
pub(super) struct CryptDir {
    volume: Arc<Volume>,
    node: Arc<Node>,
    inner: OpenBox,
    stream: Mutex<Stream>,
}

/// How far the listing is.
#[derive(Default)]
struct Stream {
    /// Behind the last entry that was taken: what the next call comes with, if it goes on.
    position: u64,
    /// Where the inner listing goes on.
    inner: u64,
    /// Entries that were listed and not taken.
    waiting: VecDeque<Waiting>,
    /// Their names, one after the other.
    names: Vec<u8>,
}

/// An entry of the inner directory; its name is among others.
struct Waiting {
    name: Range<usize>,
    ino: u64,
    dev: (u32, u32),
    file_type: Option<FileType>,
    next: u64,
}

impl CryptDir {
    pub(super) fn new(volume: Arc<Volume>, node: Arc<Node>, inner: OpenBox) -> Self {
        CryptDir { volume, node, inner, stream: Mutex::default() }
    }

    /// Lists some more entries of the inner directory. Names are looked at when that is over: it may hold a lock which
    /// reading a long name would wait for.
    fn list(&self, stream: &mut Stream) -> Result<bool> {
        let iv = self.node.iv(&self.volume)?;
        let mut batch = Batch { entries: Vec::with_capacity(BATCH), names: std::mem::take(&mut stream.names) };
        batch.names.clear();
        self.inner.read_dir(stream.inner, &mut batch)?;
        let Batch { entries, names: stored } = batch;
        let Some(last) = entries.last() else { return Ok(false) };
        stream.inner = last.next;
        for entry in entries {
            let start = stream.names.len();
            if self.plain_name(&stored[entry.name.clone()], &iv, &mut stream.names) {
                stream.waiting.push_back(Waiting { name: start..stream.names.len(), ..entry });
            }
        }
        Ok(true)
    }

    /// Appends the plain name of `entry` to `names`, if it has one that a client may see.
    fn plain_name(&self, entry: &[u8], iv: &DirIv, names: &mut Vec<u8>) -> bool {
        if matches!(entry, b"." | b"..") || self.node.is_internal(&self.volume, entry) {
            return false;
        }
        let keys = &self.volume.keys.names;
        let plain = match keys.classify(entry) {
            Entry::DirIv | Entry::LongName(_) => return false,
            Entry::Name(name) => keys.load(name, iv).map_err(|error| error.to_string()),
            Entry::Long(long) => match internal::read::<MAX_FULL>(&*self.node.inner, &Entry::name_file(long)) {
                Ok(full) => {
                    let full = full.unwrap_or_default();
                    keys.load_long(long, &full, iv).map_err(|error| error.to_string())
                }
                Err(error) if error == Errno::NOENT && self.is_gone(long) => return false,
                Err(error) => Err(format!("its name cannot be read: {error}")),
            },
        };
        match &plain {
            Ok(plain) => names.extend_from_slice(plain),
            Err(error) => self.volume.damage.log(|| {
                let (entry, dir) = (String::from_utf8_lossy(entry), self.node.identity.2);
                format!("{entry:?} in the directory with inode number {dir} is left out: {error}")
            }),
        }
        plain.is_ok()
    }

    /// Whether a file was removed since it was listed, and its name with it.
    fn is_gone(&self, long: &[u8]) -> bool {
        let _names = self.volume.names.read();
        super::long::is_free(&*self.node.inner, long)
    }
}

impl OpenFile for CryptDir {
    fn stat(&self) -> Result<Statx> {
        self.inner.stat()
    }

    fn sync(&self) -> Result<()> {
        self.inner.sync()
    }

    fn flush(&self) -> Result<()> {
        self.inner.flush()
    }

    fn read_dir(&self, from: u64, sink: &mut dyn DirSink) -> Result<()> {
        let mut stream = self.stream.lock();
        let stream = &mut *stream;
        if from == 0 || from != stream.position {
            *stream = Stream { position: from, inner: from, ..Stream::default() };
        }
        loop {
            while let Some(waiting) = stream.waiting.front() {
                let name = &stream.names[waiting.name.clone()];
                let entry = DirEntry::new(name, waiting.ino, waiting.file_type, waiting.next);
                if !sink.add(&entry.on_device(waiting.dev.0, waiting.dev.1)) {
                    return Ok(());
                }
                stream.position = waiting.next;
                stream.waiting.pop_front();
            }
            match self.list(stream) {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                // What was given counts. Whoever goes on from there gets the error.
                Err(_) if stream.position != from => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }
}

/// Takes some entries as they are.
struct Batch {
    entries: Vec<Waiting>,
    names: Vec<u8>,
}

impl DirSink for Batch {
    fn add(&mut self, entry: &DirEntry<'_>) -> bool {
        if self.entries.len() == BATCH {
            return false;
        }
        let start = self.names.len();
        self.names.extend_from_slice(entry.name);
        self.entries.push(Waiting {
            name: start..self.names.len(),
            ino: entry.ino,
            dev: entry.dev,
            file_type: entry.file_type,
            next: entry.next,
        });
        true
    }
}
