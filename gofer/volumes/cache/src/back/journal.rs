//! A file of the disk that has changes of one file, in the order in which they were made.
//!
//! A header says which file it is and how long it was, records follow: what was written, new sizes and times. Each has
//! a checksum, of itself and of where it is. A last record that is cut off is one that nobody was told of, because its
//! process was killed: it ends the journal. Anything else that is not as it was written is damage, and is kept.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use lisafs::backend::{IoSource, IoTarget, Timespec};
use parking_lot::Mutex;
use rustix::fs::OFlags;
use zerocopy::little_endian::{I64, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::overlay::Overlay;
use crate::store::index;

/// What the first bytes say; the last one is the version of the layout.
const MAGIC: [u8; 8] = *b"goferj\x01\n";
/// Ends the names of journals.
pub(crate) const JOURNAL: &str = "journal";
/// Ends the names of journals that are set aside: their files are no longer there, or they are damaged.
pub(crate) const LOST: &str = "lost";
/// No path and no record is longer.
const LONGEST: u32 = 64 << 20;

#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct HeadLayout {
    magic: [u8; 8],
    number: U64,
    ino: U64,
    size: U64,
    path_len: U32,
    checksum: U32,
}

#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RecordLayout {
    kind: U32,
    len: U32,
    offset: U64,
    seconds: I64,
    nanoseconds: U32,
    checksum: U32,
}

const HEAD: u64 = size_of::<HeadLayout>() as u64;
const RECORD: u64 = size_of::<RecordLayout>() as u64;

const WRITE: u32 = 1;
const RESIZE: u32 = 2;
const TIME: u32 = 3;
const UNLINK: u32 = 4;
const KINDS: [u32; 4] = [WRITE, RESIZE, TIME, UNLINK];

/// Which file a journal is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// The names that lead to it.
    pub(crate) path: Vec<Box<[u8]>>,
    pub(crate) ino: u64,
    /// Its size before the first change.
    pub(crate) size: u64,
}

/// A change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// The data that follows was written here.
    Write(u64),
    /// The file has this size.
    Resize(u64),
    /// Somebody has set the time of the last change.
    Time,
    /// The last name is about to go.
    Unlink,
}

/// An open journal.
#[derive(Debug)]
pub(crate) struct Journal {
    number: u64,
    path: PathBuf,
    file: File,
    /// Records that were looked at since this was opened, and are as they were written.
    checked: Mutex<HashSet<u64>>,
}

/// What is found where a journal is.
pub(crate) enum Found {
    /// It was never finished, and so nobody was told of anything in it.
    Nothing,
    /// It cannot be told which file it is of.
    Damaged,
    /// Changes.
    Changes(Box<Replayed>),
}

/// What a journal has.
pub(crate) struct Replayed {
    pub(crate) journal: Journal,
    pub(crate) head: Head,
    pub(crate) overlay: Overlay,
    /// Where the records end.
    pub(crate) end: u64,
    /// The time of the last change.
    pub(crate) mtime: Timespec,
    /// Whether the last name of the file was about to go.
    pub(crate) is_unlinked: bool,
    /// Bytes behind the last record before one that is not whole.
    pub(crate) rest: u64,
    /// Whether these bytes are damaged, and not only cut off.
    pub(crate) is_damaged: bool,
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a journal of the cache is damaged")
}

/// The checksum of bytes that stand at `at` of journal `number`. Where they have theirs, there is 0.
fn checksum(number: u64, at: u64, bytes: &[u8]) -> u32 {
    let place = (number ^ at.rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    crc_fast::crc32_iscsi(bytes) ^ (place >> 32) as u32
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600).custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
    options
}

impl Journal {
    /// Makes journal `number` in `directory`. Says where its first record will be, too.
    pub(crate) fn create(directory: &Path, number: u64, head: &Head) -> io::Result<(Self, u64)> {
        let names = head.path.join(&b'/');
        let path_len = u32::try_from(names.len()).ok().filter(|len| *len <= LONGEST).ok_or_else(damaged)?;
        let mut layout = HeadLayout {
            magic: MAGIC,
            number: number.into(),
            ino: head.ino.into(),
            size: head.size.into(),
            path_len: path_len.into(),
            checksum: 0.into(),
        };
        let whole = |layout: &HeadLayout| [layout.as_bytes(), &names].concat();
        layout.checksum = checksum(number, 0, &whole(&layout)).into();
        let bytes = whole(&layout);
        let path = directory.join(format!("{number:016x}.{JOURNAL}"));
        let file = options().create_new(true).open(&path)?;
        let journal = Journal { number, path, file, checked: Mutex::default() };
        match journal.file.write_all_at(&bytes, 0) {
            Ok(()) => Ok((journal, bytes.len() as u64)),
            Err(error) => {
                // The first error counts.
                let _ = journal.remove();
                Err(error)
            }
        }
    }

    /// The number of the journal that is, or was, at `path`.
    pub(crate) fn number_of(path: &Path) -> Option<u64> {
        u64::from_str_radix(path.file_stem()?.to_str()?, 16).ok()
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Adds a record at `end`, where the last one has ended. Says where this one does.
    pub(crate) fn append(&self, end: u64, change: Change, time: Timespec, data: &IoSource<'_>) -> io::Result<u64> {
        let (kind, offset) = match change {
            Change::Write(offset) => (WRITE, offset),
            Change::Resize(size) => (RESIZE, size),
            Change::Time => (TIME, 0),
            Change::Unlink => (UNLINK, 0),
        };
        let mut layout = RecordLayout {
            kind: kind.into(),
            len: u32::try_from(data.len()).map_err(|_| damaged())?.into(),
            offset: offset.into(),
            seconds: time.sec.into(),
            nanoseconds: u32::try_from(time.nsec).unwrap_or(0).into(),
            checksum: 0.into(),
        };
        let start = index(RECORD);
        let mut bytes = vec![0; start + data.len()];
        bytes[..start].copy_from_slice(layout.as_bytes());
        data.get(0, &mut bytes[start..]);
        layout.checksum = checksum(self.number, end, &bytes).into();
        bytes[..start].copy_from_slice(layout.as_bytes());
        self.file.write_all_at(&bytes, end)?;
        Ok(end + bytes.len() as u64)
    }

    /// Reads data of the record at `record` from its byte `skip` on. All of the record is looked at the first time.
    pub(crate) fn read_into(&self, mut into: IoTarget<'_>, record: u64, skip: u64) -> io::Result<()> {
        if !self.checked.lock().contains(&record) {
            self.data(record)?;
            self.checked.lock().insert(record);
        }
        let (mut done, start) = (0, record + RECORD + skip);
        while done < into.len() {
            let len = into.len() - done;
            match into.part(done, len).fill_from(self.file.as_fd(), start + done as u64) {
                Ok(0) => return Err(damaged()),
                Ok(count) => done += count,
                Err(errno) => return Err(io::Error::from_raw_os_error(errno.raw_os_error())),
            }
        }
        Ok(())
    }

    /// The data of the record at `record`, if it is as it was written.
    pub(crate) fn data(&self, record: u64) -> io::Result<Vec<u8>> {
        let (_, mut bytes) = self.record(record)?.ok_or_else(damaged)?;
        bytes.drain(..index(RECORD));
        Ok(bytes)
    }

    /// The record at `at` with all its bytes; `None` if there is none that is whole.
    fn record(&self, at: u64) -> io::Result<Option<(RecordLayout, Vec<u8>)>> {
        let mut bytes = vec![0; index(RECORD)];
        if !read_whole(&self.file, &mut bytes, at)? {
            return Ok(None);
        }
        let Ok(mut layout) = RecordLayout::read_from_bytes(&bytes) else { return Ok(None) };
        if layout.len.get() > LONGEST || at + RECORD + u64::from(layout.len.get()) > self.file.metadata()?.len() {
            return Ok(None);
        }
        bytes.resize(index(RECORD + u64::from(layout.len.get())), 0);
        if !read_whole(&self.file, &mut bytes, at)? {
            return Ok(None);
        }
        let wanted = std::mem::replace(&mut layout.checksum, 0.into()).get();
        bytes[..index(RECORD)].copy_from_slice(layout.as_bytes());
        Ok((checksum(self.number, at, &bytes) == wanted).then_some((layout, bytes)))
    }

    /// Has the disk keep what was added.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Removes the journal, of which open ones stay usable.
    pub(crate) fn remove(&self) -> io::Result<()> {
        match std::fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Keeps the journal at `path`, which cannot be uploaded, for whoever may miss it.
    pub(crate) fn set_aside(path: &Path) -> io::Result<()> {
        std::fs::rename(path, path.with_extension(LOST))
    }

    /// Keeps all of this one, too, of which a part can be uploaded.
    pub(crate) fn keep_copy(&self) -> io::Result<()> {
        match std::fs::hard_link(&self.path, self.path.with_extension(LOST)) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => Ok(()),
        }
    }

    /// The inode number of the file that the journal at `path` is of, if it says so.
    pub(crate) fn ino_of(path: &Path) -> Option<u64> {
        let mut bytes = [0; size_of::<HeadLayout>()];
        File::open(path).ok()?.read_exact_at(&mut bytes, 0).ok()?;
        let layout = HeadLayout::read_from_bytes(&bytes).ok()?;
        (layout.magic == MAGIC).then_some(layout.ino.get())
    }

    /// All that the journal at `path` has.
    pub(crate) fn replay(path: &Path) -> io::Result<Found> {
        let file = options().open(path)?;
        let len = file.metadata()?.len();
        let mut bytes = vec![0; index(HEAD)];
        // The first record, of which somebody is told, comes after the header.
        if !read_whole(&file, &mut bytes, 0)? {
            return Ok(Found::Nothing);
        }
        let Ok(mut layout) = HeadLayout::read_from_bytes(&bytes) else { return Ok(Found::Damaged) };
        if layout.magic != MAGIC || HEAD + u64::from(layout.path_len.get()) > len {
            return Ok(Found::Damaged);
        }
        bytes.resize(index(HEAD + u64::from(layout.path_len.get())), 0);
        let (number, wanted) = (layout.number.get(), std::mem::replace(&mut layout.checksum, 0.into()).get());
        let is_read = read_whole(&file, &mut bytes, 0)?;
        bytes[..index(HEAD)].copy_from_slice(layout.as_bytes());
        if !is_read || checksum(number, 0, &bytes) != wanted {
            return Ok(Found::Damaged);
        }
        let names = bytes[index(HEAD)..].split(|byte| *byte == b'/');
        let head = Head { path: names.map(Into::into).collect(), ino: layout.ino.get(), size: layout.size.get() };
        let journal = Journal { number, path: path.to_path_buf(), file, checked: Mutex::default() };
        let (mut overlay, mut end) = (Overlay::new(head.size), bytes.len() as u64);
        let (mut mtime, mut is_unlinked) = (Timespec::default(), false);
        while let Some((record, bytes)) = journal.record(end)? {
            is_unlinked = record.kind.get() == UNLINK;
            match record.kind.get() {
                WRITE => overlay.write(record.offset.get(), bytes.len() as u64 - RECORD, end),
                RESIZE => overlay.resize(record.offset.get()),
                TIME | UNLINK => {}
                _ => break,
            }
            if !is_unlinked {
                mtime = Timespec { sec: record.seconds.get(), nsec: record.nanoseconds.get().into() };
            }
            end += bytes.len() as u64;
        }
        let is_damaged = end < len && journal.is_damaged(end, len)?;
        let rest = len.saturating_sub(end);
        Ok(Found::Changes(Box::new(Replayed { journal, head, overlay, end, mtime, is_unlinked, rest, is_damaged })))
    }

    /// Whether what is at `end`, which is no whole record, is damaged. Otherwise the journal, of `len` bytes, is cut off
    /// there: by a kill, which leaves a part of one record and nothing behind it.
    fn is_damaged(&self, end: u64, len: u64) -> io::Result<bool> {
        let mut bytes = vec![0; index(len - end)];
        if !read_whole(&self.file, &mut bytes, end)? {
            return Ok(false);
        }
        let Some((layout, _)) = RecordLayout::read_from_prefix(&bytes).ok() else { return Ok(false) };
        if end + RECORD + u64::from(layout.len.get()) <= len {
            return Ok(true);
        }
        // Its length may be what is damaged: then others stand behind it.
        for at in 1..=(len - end).saturating_sub(RECORD) {
            let is_kind =
                bytes[index(at)..].first_chunk().is_some_and(|kind| KINDS.contains(&u32::from_le_bytes(*kind)));
            if is_kind && self.record(end + at)?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Fills `bytes` from byte `at` on; `false` if the file is too short.
fn read_whole(file: &File, bytes: &mut [u8], at: u64) -> io::Result<bool> {
    match file.read_exact_at(bytes, at) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::back::overlay::Origin;

    fn head() -> Head {
        Head { path: vec![(*b"a").into(), (*b"b").into()], ino: 7, size: 10 }
    }

    fn time(sec: i64) -> Timespec {
        Timespec { sec, nsec: 5 }
    }

    #[test]
    fn journals_end_with_the_last_whole_record() {
        let directory = tempfile::tempdir().unwrap();
        let (journal, start) = Journal::create(directory.path(), 9, &head()).unwrap();
        let nothing = [];
        let one = journal.append(start, Change::Write(4), time(1), &b"hello"[..].into()).unwrap();
        let two = journal.append(one, Change::Resize(8), time(2), &nothing[..].into()).unwrap();
        let end = journal.append(two, Change::Write(100), time(3), &b"far"[..].into()).unwrap();
        let path = journal.path.clone();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(bytes.len() as u64, end);
        let replay = || match Journal::replay(&path).unwrap() {
            Found::Changes(found) => Ok(found),
            Found::Nothing => Err("nothing"),
            Found::Damaged => Err("damaged"),
        };
        let all = replay().unwrap();
        assert_eq!((&all.head, all.mtime, all.end, all.rest), (&head(), time(3), end, 0));
        let mut parts = Vec::new();
        all.overlay.origins(0..200, |range, origin| parts.push((range, origin)));
        assert_eq!(parts.len(), 4, "{parts:?}");
        let Origin::Piece(piece) = parts[1].1 else { panic!("{parts:?}") };
        assert_eq!((parts[1].0.clone(), piece.record, piece.len), (4..8, start, 4));
        assert_eq!(all.journal.data(start).unwrap(), b"hello");
        let mut read = [0; 2];
        all.journal.read_into((&mut read[..]).into(), start, 2).unwrap();
        assert_eq!(&read, b"ll");
        // Cut off and damaged anywhere: what is before that stays, and the one is told from the other.
        let ends = [start, one, two, end];
        for len in 0..bytes.len() {
            let whole = ends.into_iter().filter(|end| *end <= len as u64).max();
            std::fs::write(&path, &bytes[..len]).unwrap();
            let wanted = whole.map(|end| (end, false)).ok_or(if len < index(HEAD) { "nothing" } else { "damaged" });
            assert_eq!(replay().map(|all| (all.end, all.is_damaged)), wanted, "{len}");
            let mut damaged = bytes.clone();
            damaged[len] ^= 0x10;
            std::fs::write(&path, damaged).unwrap();
            // If the last one says that it is longer, it may as well be cut off.
            let may_be_cut = (two + 4..two + 8).contains(&(len as u64));
            let wanted = whole.map(|end| (end, !may_be_cut)).ok_or("damaged");
            assert_eq!(replay().map(|all| (all.end, all.is_damaged)), wanted, "{len}");
        }
        journal.remove().unwrap();
        assert!(!path.exists());
    }
}
