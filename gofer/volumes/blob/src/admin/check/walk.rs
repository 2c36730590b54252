//! Reading all metadata once, in the order of keys, and keeping what has to fit together.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use super::sorted::Sorted;
use super::{Progress, Report};
use crate::meta::Meta;
use crate::record::{Bucket, CHUNK_BLOCKS, Chunk, Codec, Inode, Place, S_IFDIR, S_IFMT, Segment, State, decode};
use crate::superblock::Superblock;
use crate::{Errno, key};

/// Records that are read at once.
const PAGE: usize = 4096;

/// A key and what it should be.
pub(super) type Repair = (Vec<u8>, Option<Vec<u8>>);

/// All that was found.
pub(super) struct Walk<'a> {
    pub(super) superblock: &'a Superblock,
    pub(super) report: Report,
    pub(super) repairs: Vec<Repair>,
    pub(super) state: Option<State>,
    pub(super) inodes: Sorted<File>,
    pub(super) names: HashMap<u64, Names>,
    pub(super) dirs: HashMap<u64, Entries>,
    pub(super) data: Sorted<Data>,
    pub(super) xattrs: Sorted<u32>,
    pub(super) nameless: HashSet<u64>,
    pub(super) segments: HashMap<(u16, u64), Segment>,
    pub(super) uses: HashMap<(u16, u64), Use>,
}

/// Of a file's attributes, those that other records depend on: there may be millions of files.
#[derive(Clone, Copy, Default)]
pub(super) struct File {
    pub(super) mode: u16,
    pub(super) nlink: u32,
    pub(super) xattrs: u32,
    pub(super) size: u64,
    pub(super) held: u64,
    pub(super) parent: u64,
}

impl File {
    pub(super) fn is_dir(&self) -> bool {
        self.mode & S_IFMT == S_IFDIR
    }
}

impl From<Inode> for File {
    fn from(inode: Inode) -> Self {
        let Inode { mode, nlink, xattrs, size, held, parent, .. } = inode;
        File { mode, nlink, xattrs, size, held, parent }
    }
}

/// The names of a file.
#[derive(Default)]
pub(super) struct Names {
    pub(super) count: u32,
    /// The directory of the last one.
    pub(super) dir: u64,
    /// Type bits.
    pub(super) kind: u16,
}

/// What is in a directory.
#[derive(Default)]
pub(super) struct Entries {
    pub(super) all: u64,
    pub(super) directories: u32,
}

/// A file's content.
#[derive(Default)]
pub(super) struct Data {
    pub(super) held: u64,
    /// Behind the last block.
    pub(super) end: u64,
}

/// What is used of a segment.
#[derive(Default)]
pub(super) struct Use {
    pub(super) bytes: u64,
    pub(super) extents: Vec<Extent>,
}

/// A block of a segment that a file refers to.
#[derive(Clone, Copy)]
pub(super) struct Extent {
    pub(super) offset: u32,
    pub(super) len: u32,
    pub(super) crc: u32,
    pub(super) ino: u64,
    pub(super) block: u64,
}

impl<'a> Walk<'a> {
    pub(super) fn new(superblock: &'a Superblock) -> Self {
        Walk {
            superblock,
            report: Report::default(),
            repairs: Vec::new(),
            state: None,
            inodes: Sorted::default(),
            names: HashMap::new(),
            dirs: HashMap::new(),
            data: Sorted::default(),
            xattrs: Sorted::default(),
            nameless: HashSet::new(),
            segments: HashMap::new(),
            uses: HashMap::new(),
        }
    }

    /// Reads everything. The error is that the database cannot be read.
    pub(super) async fn all(mut self, meta: &Meta, progress: &dyn Progress) -> Result<Self, String> {
        progress.begin("records", None);
        let mut range: Range<Vec<u8>> = vec![0]..vec![u8::MAX];
        loop {
            let page = meta.scan(range.clone(), PAGE).await;
            let page = page.map_err(|_| "the metadata cannot be read; the log says more".to_owned())?;
            for record in &page {
                self.report.records += 1;
                if self.record(&record.key, &record.value).is_err() {
                    self.report.problem(format!("the record {} cannot be read", shown(&record.key)));
                }
            }
            progress.advance(page.len() as u64);
            match page.last() {
                Some(last) if page.len() == PAGE => range.start = [&last.key[..], &[0]].concat(),
                _ => return Ok(self),
            }
        }
    }

    fn record(&mut self, key: &[u8], value: &[u8]) -> Result<(), Errno> {
        match key.first() {
            Some(b'A') => self.state = Some(decode("state", value)?),
            Some(b'D') => {
                let (dir, hash) = key::bucket_of(key).ok_or(Errno::IO)?;
                self.bucket(dir, hash, &decode("entries", value)?);
            }
            Some(b'F') => {
                let (ino, number) = key::chunk_of(key).ok_or(Errno::IO)?;
                self.chunk(ino, number, &decode("chunk", value)?);
            }
            Some(b'I') => {
                let inode: Inode = decode("inode", value)?;
                *self.inodes.entry(key::ino_of(key).ok_or(Errno::IO)?) = inode.into();
            }
            Some(b'O') => drop(self.nameless.insert(key::ino_of(key).ok_or(Errno::IO)?)),
            Some(b'S') => {
                let segment = key::segment_of(key).ok_or(Errno::IO)?;
                self.segments.insert(segment, decode("segment", value)?);
            }
            Some(b'X') => *self.xattrs.entry(key::xattr_of(key).ok_or(Errno::IO)?.0) += 1,
            _ => return Err(Errno::IO),
        }
        Ok(())
    }

    fn bucket(&mut self, dir: u64, hash: u64, bucket: &Bucket) {
        let mut slots = HashSet::new();
        let mut names = HashSet::new();
        for entry in &bucket.0 {
            let shown = String::from_utf8_lossy(&entry.name);
            if key::hash(&entry.name, self.superblock.secret()) != hash {
                self.report.problem(format!("the name \"{shown}\" in directory {dir} is in the wrong place"));
            }
            if !slots.insert(entry.slot) || entry.slot >= key::SLOTS || !names.insert(&entry.name) {
                self.report.problem(format!("the name \"{shown}\" in directory {dir} is there twice"));
            }
            let is_dir = entry.kind & S_IFMT == S_IFDIR;
            let entries = self.dirs.entry(dir).or_default();
            entries.all += 1;
            entries.directories += u32::from(is_dir);
            let found = self.names.entry(entry.ino).or_default();
            found.count += 1;
            (found.dir, found.kind) = (dir, entry.kind);
        }
    }

    fn chunk(&mut self, ino: u64, number: u64, chunk: &Chunk) {
        let data = self.data.entry(ino);
        for (index, place) in chunk.places() {
            let block = number * CHUNK_BLOCKS + index as u64;
            data.held += place.held();
            data.end = data.end.max(block + 1);
            let Place::Stored(stored) = place else { continue };
            let used = self.uses.entry((stored.volume, stored.segment)).or_default();
            used.bytes += u64::from(stored.len);
            used.extents.push(Extent { offset: stored.offset, len: stored.len, crc: stored.crc, ino, block });
            let is_right = stored.codec != Codec::None || stored.plain == stored.len;
            if !is_right || stored.plain > self.superblock.block || stored.volume > self.superblock.index() {
                self.report.problem(format!("block {block} of file {ino} is at an impossible place"));
            }
        }
    }
}

/// A key for people.
fn shown(key: &[u8]) -> String {
    key.escape_ascii().to_string()
}
