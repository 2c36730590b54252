//! Directories, whole.

use super::Client;
use crate::backend::{DirEntry, DirSink, FileType};
use crate::errno::Errno;
use crate::wire::{Dirent, FdId};

/// What a directory had at one moment, so that a listing that is read in parts has each entry once.
#[derive(Debug, Default)]
pub struct Listing(Vec<Entry>);

#[derive(Debug)]
struct Entry {
    name: Vec<u8>,
    ino: u64,
    dev: (u32, u32),
    kind: Option<FileType>,
}

impl Listing {
    /// Everything that the directory open as `dir` has now, whatever was read of it before.
    pub fn read(client: &Client, dir: FdId) -> Result<Self, Errno> {
        /// Bytes of a portion.
        const PORTION: i32 = 1 << 20;
        let mut entries = Vec::new();
        let mut add = |dirent: Dirent<'_>| {
            let kind = FileType::from_mode(u32::from(dirent.kind) << 12);
            let dev = (dirent.dev_major, dirent.dev_minor);
            entries.push(Entry { name: dirent.name.to_vec(), ino: dirent.ino, dev, kind });
        };
        // From the start.
        let mut count = -PORTION;
        while client.getdents(dir, count, &mut add)? > 0 {
            count = PORTION;
        }
        Ok(Listing(entries))
    }

    /// Gives the entries from position `from` on to `sink`, as long as it takes them.
    pub fn send(&self, from: u64, sink: &mut dyn DirSink) {
        let first = usize::try_from(from).unwrap_or(usize::MAX);
        for (index, entry) in self.0.iter().enumerate().skip(first) {
            let next = DirEntry::new(&entry.name, entry.ino, entry.kind, index as u64 + 1);
            if !sink.add(&next.on_device(entry.dev.0, entry.dev.1)) {
                break;
            }
        }
    }
}
