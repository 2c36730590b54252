//! Directories, read by bare system calls.

use std::fs::File;
use std::mem::MaybeUninit;
use std::path::Path;

use rustix::fs::{FileType, RawDir, SeekFrom};

use super::check::{Expect, Verdict, holds};

/// One entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::mount) struct Entry {
    pub(in crate::mount) name: String,
    pub(in crate::mount) ino: u64,
    pub(in crate::mount) file_type: FileType,
    /// Where the listing goes on after it.
    pub(in crate::mount) next: u64,
}

impl Entry {
    pub(in crate::mount) fn is_dot(&self) -> bool {
        self.name == "." || self.name == ".."
    }
}

/// An open directory, read by bare system calls: the C library's would hide what the file system does.
pub(in crate::mount) struct Listing {
    pub(in crate::mount) directory: File,
}

impl From<File> for Listing {
    fn from(directory: File) -> Self {
        Listing { directory }
    }
}

impl Listing {
    pub(in crate::mount) fn open(path: &Path) -> Verdict<Self> {
        Ok(Listing { directory: File::open(path).of("open(directory)")? })
    }

    /// What one call gives with a buffer of `size` bytes; nothing at the end.
    pub(in crate::mount) fn part(&mut self, size: usize) -> Verdict<Vec<Entry>> {
        let mut buffer = vec![MaybeUninit::uninit(); size];
        let mut raw = RawDir::new(&self.directory, &mut buffer);
        let mut entries = Vec::new();
        while let Some(entry) = raw.next() {
            let entry = entry.of(format_args!("getdents64({size} bytes)"))?;
            entries.push(Entry {
                name: entry.file_name().to_string_lossy().into_owned(),
                ino: entry.ino(),
                file_type: entry.file_type(),
                next: entry.next_entry_cookie(),
            });
            if raw.is_buffer_empty() {
                break;
            }
        }
        Ok(entries)
    }

    /// Everything until the end.
    pub(in crate::mount) fn rest(&mut self, size: usize) -> Verdict<Vec<Entry>> {
        let mut entries = Vec::new();
        loop {
            let part = self.part(size)?;
            if part.is_empty() {
                return Ok(entries);
            }
            entries.extend(part);
            // A defect may make a directory endless.
            holds("getdents64() until the end", "an end", entries.len() < 1_000_000, "more than a million entries")?;
        }
    }

    /// Goes to a position.
    pub(in crate::mount) fn seek(&mut self, position: u64) -> Verdict {
        rustix::fs::seek(&self.directory, SeekFrom::Start(position)).of(format_args!("seekdir({position})")).map(drop)
    }
}
