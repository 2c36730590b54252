//! What tests of wrappers need.

use std::ffi::OsStr;

use crate::extension::{Claim, Registry};
use crate::extensions::shipped;
use crate::hostfs::HostOptions;
use lisafs::backend::{
    Access, ControlBox, ControlFile, DirEntry, DirSink, Mode, NO_ID, Name, NewFile, OpenBox, OpenHow, Result,
};

fn try_open(backend: &str) -> std::result::Result<Claim, String> {
    let registry = Registry::new(shipped()).unwrap();
    registry.backends(&HostOptions::default()).open(OsStr::new(backend)).map_err(|error| error.to_string())
}

/// The file system that `backend` stands for.
pub(crate) fn open(backend: &str) -> Claim {
    try_open(backend).unwrap()
}

/// Why there is none.
pub(crate) fn open_error(backend: &str) -> String {
    try_open(backend).unwrap_err()
}

/// The root of the file system that `backend` stands for.
pub(crate) fn root(backend: &str) -> ControlBox {
    open(backend).backend.attach().ok().unwrap().root.file
}

pub(crate) fn name(name: &str) -> Name<'_> {
    Name::new(name.as_bytes()).unwrap()
}

/// A new file of nobody's.
pub(crate) const NEW: NewFile = NewFile::new(Mode::new(0o640), NO_ID, NO_ID);

pub(crate) fn create(dir: &dyn ControlFile, file: &str) -> OpenBox {
    dir.create(name(file), &NEW, Access::ReadWrite).ok().unwrap().opened.file
}

pub(crate) fn write(file: &OpenBox, bytes: &[u8]) -> Result<usize> {
    file.write_at(bytes.into(), 0)
}

pub(crate) fn read(file: &OpenBox) -> Result<Vec<u8>> {
    let mut bytes = vec![0; 4096];
    let count = file.read_at(bytes.as_mut_slice().into(), 0)?;
    bytes.truncate(count);
    Ok(bytes)
}

/// Takes all entries, or as many as it has room for.
pub(crate) struct Listing {
    pub(crate) names: Vec<String>,
    pub(crate) inos: Vec<u64>,
    pub(crate) next: u64,
    pub(crate) room: usize,
}

impl DirSink for Listing {
    fn add(&mut self, entry: &DirEntry<'_>) -> bool {
        if self.names.len() == self.room {
            return false;
        }
        self.names.push(String::from_utf8(entry.name.to_vec()).unwrap());
        self.inos.push(entry.ino);
        self.next = entry.next;
        true
    }
}

/// The entries of `dir` from position `from` on, `room` at most.
pub(crate) fn list_part(dir: &dyn ControlFile, from: u64, room: usize) -> Listing {
    let mut listing = Listing { names: Vec::new(), inos: Vec::new(), next: 0, room };
    let dir = dir.open(OpenHow::new(Access::Read)).ok().unwrap().file;
    dir.read_dir(from, &mut listing).unwrap();
    listing
}

/// The names of all entries of `dir`.
pub(crate) fn list(dir: &dyn ControlFile) -> Vec<String> {
    list_part(dir, 0, usize::MAX).names
}
