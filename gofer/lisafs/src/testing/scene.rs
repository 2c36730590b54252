//! What cases are made of.

use std::any::Any;
use std::sync::Arc;

use super::{Capabilities, Capability};
use crate::backend::{
    Access, Backend, ControlBox, ControlFile, Created, DirEntry, DirSink, Errno, FileType, Found, Mode, NO_ID, Name,
    NewFile, OpenBox, OpenFile, OpenHow, RenameFlags, Result, SetStat, Statx, Unlink,
};

/// A backend, and what has to stay as long as it is tested.
pub struct Subject {
    backend: Arc<dyn Backend>,
    kept: Vec<Box<dyn Any>>,
}

impl Subject {
    /// A backend that needs nothing else.
    pub fn new(backend: impl Backend) -> Self {
        Self::shared(Arc::new(backend))
    }

    /// A backend that is shared already.
    pub fn shared(backend: Arc<dyn Backend>) -> Self {
        Subject { backend, kept: Vec::new() }
    }

    /// Keeps `thing` until the backend has been tested.
    #[must_use]
    pub fn with(mut self, thing: impl Any) -> Self {
        self.kept.push(Box::new(thing));
        self
    }
}

impl<B: Backend> From<B> for Subject {
    fn from(backend: B) -> Self {
        Self::new(backend)
    }
}

/// A backend under test.
pub(super) struct Scene {
    backend: Arc<dyn Backend>,
    can: Capabilities,
    _kept: Vec<Box<dyn Any>>,
}

impl Scene {
    pub(super) fn new(subject: Subject, can: Capabilities) -> Self {
        Scene { backend: subject.backend, can, _kept: subject.kept }
    }

    /// The root, attached anew.
    pub(super) fn root(&self) -> ControlBox {
        ok(self.backend.attach(), "attach").root.file
    }

    pub(super) fn can(&self, capability: Capability) -> bool {
        self.can.has(capability)
    }

    /// Whether calls may come at once. With the server's locks the backend relies on their not doing so.
    pub(super) fn is_concurrent(&self) -> bool {
        !self.backend.options().tree_locks
    }
}

/// What a call that must succeed has given.
#[track_caller]
pub(super) fn ok<T>(result: Result<T>, call: &str) -> T {
    match result {
        Ok(given) => given,
        Err(errno) => panic!("{call} has failed: {errno}"),
    }
}

/// Checks that a call fails with one of `errnos`.
#[track_caller]
pub(super) fn fails<T>(result: Result<T>, errnos: &[Errno], call: &str) {
    match result {
        Ok(_) => panic!("{call} has succeeded; expected {errnos:?}"),
        Err(errno) => assert!(errnos.contains(&errno.errno()), "{call} has failed with {errno:?}; expected {errnos:?}"),
    }
}

pub(super) fn name(name: &str) -> Name<'_> {
    Name::new(name.as_bytes()).expect("a name")
}

/// A new file of the server's own.
pub(super) fn own(mode: u16) -> NewFile {
    NewFile::new(Mode::new(mode), NO_ID, NO_ID)
}

pub(super) fn owned(mode: u16, uid: u32, gid: u32) -> NewFile {
    NewFile::new(Mode::new(mode), uid, gid)
}

#[track_caller]
pub(super) fn walk(dir: &dyn ControlFile, entry: &str) -> Found {
    ok(dir.walk(name(entry)), &format!("walk to {entry:?}"))
}

#[track_caller]
pub(super) fn created(dir: &dyn ControlFile, entry: &str, new: &NewFile) -> Created {
    ok(dir.create(name(entry), new, Access::ReadWrite), &format!("create {entry:?}"))
}

#[track_caller]
pub(super) fn create(dir: &dyn ControlFile, entry: &str) -> OpenBox {
    created(dir, entry, &own(0o644)).opened.file
}

#[track_caller]
pub(super) fn mkdir(dir: &dyn ControlFile, entry: &str) -> ControlBox {
    ok(dir.mkdir(name(entry), &own(0o755)), &format!("mkdir {entry:?}")).file
}

pub(super) fn rename(from: (&dyn ControlFile, &str), to: (&dyn ControlFile, &str), flags: RenameFlags) -> Result<()> {
    from.0.rename(name(from.1), to.0, name(to.1), flags)
}

pub(super) fn unlink(dir: &dyn ControlFile, entry: &str) -> Result<()> {
    dir.unlink(name(entry), Unlink::File)
}

pub(super) fn rmdir(dir: &dyn ControlFile, entry: &str) -> Result<()> {
    dir.unlink(name(entry), Unlink::Directory)
}

pub(super) fn how(access: Access, truncate: bool, no_atime: bool) -> OpenHow {
    OpenHow::new(access).truncate(truncate).no_atime(no_atime)
}

#[track_caller]
pub(super) fn open(file: &dyn ControlFile, access: Access) -> OpenBox {
    ok(file.open(how(access, false, false)), "open").file
}

pub(super) fn set(file: &dyn ControlFile, change: SetStat) -> Result<()> {
    file.set_stat(&change).map_err(|failure| failure.error)
}

pub(super) fn set_size(file: &dyn ControlFile, size: u64) -> Result<()> {
    set(file, SetStat::new().size(size))
}

/// Reads up to `len` bytes.
#[track_caller]
pub(super) fn read(file: &dyn OpenFile, offset: u64, len: usize) -> Vec<u8> {
    // What is not read must not be touched.
    let mut bytes = vec![0xa5; len + 1];
    let count = ok(file.read_at((&mut bytes[..len]).into(), offset), "read");
    assert!(count <= len, "more was read than asked for: {count} of {len} bytes");
    assert_eq!(bytes.pop(), Some(0xa5));
    bytes.truncate(count);
    bytes
}

/// All of a file.
#[track_caller]
pub(super) fn content(file: &dyn OpenFile) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let more = read(file, bytes.len() as u64, 1 << 16);
        if more.is_empty() {
            return bytes;
        }
        bytes.extend(more);
        assert!(bytes.len() < 1 << 26, "the file does not end");
    }
}

/// Writes all of `bytes`, in as many calls as it takes.
#[track_caller]
pub(super) fn write(file: &dyn OpenFile, offset: u64, bytes: &[u8]) {
    let mut done = 0;
    while done < bytes.len() {
        let count = ok(file.write_at(bytes[done..].into(), offset + done as u64), "write");
        assert!(count > 0 && count <= bytes.len() - done, "{count} bytes were taken of {}", bytes.len() - done);
        done += count;
    }
}

/// The type of a file.
#[track_caller]
pub(super) fn kind(stat: &Statx) -> FileType {
    stat.file_type().unwrap_or_else(|| panic!("no file has the type of the mode {:o}", stat.mode))
}

/// What a file is to a client.
pub(super) fn identity(stat: &Statx) -> (u32, u32, u64) {
    (stat.dev_major, stat.dev_minor, stat.ino)
}

/// An entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: Vec<u8>,
    pub(super) identity: (u32, u32, u64),
    /// If it is known.
    pub(super) kind: Option<FileType>,
    pub(super) next: u64,
}

struct Portion {
    room: usize,
    entries: Vec<Entry>,
}

impl DirSink for Portion {
    fn add(&mut self, entry: &DirEntry<'_>) -> bool {
        if self.entries.len() == self.room {
            return false;
        }
        let (major, minor) = entry.dev;
        assert_ne!(entry.next, 0, "where {:?} ends, the directory would begin", entry.name);
        self.entries.push(Entry {
            name: entry.name.to_vec(),
            identity: (major, minor, entry.ino),
            kind: entry.file_type,
            next: entry.next,
        });
        true
    }
}

/// Up to `room` entries from position `from` on. A backend may list `.` and `..`, which the server leaves out.
#[track_caller]
pub(super) fn portion(dir: &dyn OpenFile, from: u64, room: usize) -> Vec<Entry> {
    let mut portion = Portion { room, entries: Vec::new() };
    ok(dir.read_dir(from, &mut portion), "read_dir");
    portion.entries
}

/// All entries, in portions, with `between` after each of them.
#[track_caller]
pub(super) fn list_with(dir: &dyn OpenFile, room: usize, mut between: impl FnMut()) -> Vec<Entry> {
    let (mut all, mut from) = (Vec::new(), 0);
    loop {
        let entries = portion(dir, from, room);
        let Some(last) = entries.last() else { break };
        from = last.next;
        all.extend(entries);
        assert!(all.len() < 1 << 16, "the listing does not end");
        between();
    }
    all.retain(|entry| !matches!(&entry.name[..], b"." | b".."));
    all
}

#[track_caller]
pub(super) fn list(dir: &dyn ControlFile) -> Vec<Entry> {
    list_with(&*open(dir, Access::Read), usize::MAX, || ())
}

/// The names in a directory, sorted.
#[track_caller]
pub(super) fn names(dir: &dyn ControlFile) -> Vec<String> {
    let mut names: Vec<String> =
        list(dir).into_iter().map(|entry| String::from_utf8_lossy(&entry.name).into_owned()).collect();
    names.sort();
    names
}
