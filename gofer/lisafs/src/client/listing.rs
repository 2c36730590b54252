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
    /// How many entries a directory has at most. More were made up by the server.
    pub const MOST: usize = 1 << 25;

    /// Everything that the directory open as `dir` has now, whatever was read of it before. `EFBIG`: that is more than
    /// [`MOST`](Self::MOST) entries.
    pub fn read(client: &Client, dir: FdId) -> Result<Self, Errno> {
        Self::read_up_to(client, dir, Self::MOST)
    }

    /// Does [`read`](Self::read) with up to `most` entries.
    pub fn read_up_to(client: &Client, dir: FdId, most: usize) -> Result<Self, Errno> {
        /// Bytes of a portion.
        const PORTION: i32 = 1 << 20;
        let (mut entries, mut total) = (Vec::new(), 0);
        let mut add = |dirent: Dirent<'_>| {
            let kind = FileType::from_mode(u32::from(dirent.kind) << 12);
            let dev = (dirent.dev_major, dirent.dev_minor);
            entries.push(Entry { name: dirent.name.to_vec(), ino: dirent.ino, dev, kind });
        };
        // From the start.
        let mut count = -PORTION;
        loop {
            let read = client.getdents(dir, count, &mut add)?;
            if read == 0 {
                break;
            }
            total += read;
            if total > most {
                return Err(Errno::FBIG);
            }
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
