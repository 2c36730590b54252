//! Tests of the whole backend, as the server uses it.

mod attributes;
mod content;
mod names;
mod rename;
mod space;
mod special;
mod stress;
mod times;
mod xattrs;

use std::time::Duration;

use super::{MemFs, MemOptions};
use lisafs::backend::{
    Access, Backend, ControlBox, ControlFile, Error, Found, Mode, NO_ID, Name, NewFile, OpenBox, OpenFile, OpenHow,
    Result, SetStat, Statx, Unlink,
};

lisafs::testing::suite!(suite, Capabilities::all(), || MemFs::new(MemOptions::parse("special").unwrap()).unwrap());

/// A file system and its root.
struct Fixture {
    fs: MemFs,
    root: ControlBox,
}

impl Fixture {
    fn new() -> Self {
        Self::with("")
    }

    fn with(options: &str) -> Self {
        let fs = MemFs::new(MemOptions::parse(options).unwrap()).unwrap();
        let root = fs.attach().ok().unwrap().root.file;
        Fixture { fs, root }
    }

    /// The file at `path`, one name after the other.
    fn walk(&self, path: &str) -> Result<ControlBox> {
        let mut names = path.split('/');
        let mut file = self.root.walk(name(names.next().unwrap()))?.file;
        for next in names {
            file = file.walk(name(next))?.file;
        }
        Ok(file)
    }

    fn stat(&self, path: &str) -> Statx {
        self.walk(path).ok().unwrap().stat().unwrap()
    }

    /// The directory of `path`, and the last name.
    fn place<'a>(&self, path: &'a str) -> (ControlBox, Name<'a>) {
        match path.rsplit_once('/') {
            Some((dir, last)) => (self.walk(dir).ok().unwrap(), name(last)),
            None => (self.fs.attach().ok().unwrap().root.file, name(path)),
        }
    }

    fn create(&self, path: &str) -> OpenBox {
        let (dir, name) = self.place(path);
        dir.create(name, &own(0o644), Access::ReadWrite).ok().unwrap().opened.file
    }

    fn mkdir(&self, path: &str) -> ControlBox {
        let (dir, name) = self.place(path);
        dir.mkdir(name, &own(0o755)).ok().unwrap().file
    }

    fn link(&self, path: &str, target: &str) -> Result<Found> {
        let (dir, name) = self.place(path);
        dir.link(name, &*self.walk(target)?)
    }

    fn unlink(&self, path: &str) -> Result<()> {
        let (dir, name) = self.place(path);
        dir.unlink(name, Unlink::File)
    }

    fn rmdir(&self, path: &str) -> Result<()> {
        let (dir, name) = self.place(path);
        dir.unlink(name, Unlink::Directory)
    }

    /// Bytes and names in use.
    fn used(&self) -> (u64, u64) {
        self.fs.root.fs().space.used()
    }
}

fn name(name: &str) -> Name<'_> {
    Name::new(name.as_bytes()).unwrap()
}

/// A new file of nobody's.
fn own(mode: u16) -> NewFile {
    NewFile::new(Mode::new(mode), NO_ID, NO_ID)
}

fn open(file: &dyn ControlFile, access: Access) -> Result<OpenBox> {
    file.open(OpenHow::new(access)).map(|opened| opened.file)
}

fn write(file: &dyn OpenFile, offset: u64, bytes: &[u8]) -> Result<usize> {
    file.write_at(bytes.into(), offset)
}

fn read(file: &dyn OpenFile, offset: u64, len: usize) -> Result<Vec<u8>> {
    // What is not read is not touched.
    let mut bytes = vec![0xaa; len];
    let count = file.read_at(bytes.as_mut_slice().into(), offset)?;
    assert!(bytes[count..].iter().all(|byte| *byte == 0xaa));
    bytes.truncate(count);
    Ok(bytes)
}

fn set_size(file: &dyn ControlFile, size: u64) -> Result<()> {
    set(file, SetStat::new().size(size))
}

fn set(file: &dyn ControlFile, change: SetStat) -> Result<()> {
    file.set_stat(&change).map_err(|failure| failure.error)
}

/// The error of something whose success cannot be printed.
fn error<T>(result: Result<T>) -> Option<Error> {
    result.err()
}

/// Lets the clock go on, so that what happens before and after has different times.
fn tick() {
    std::thread::sleep(Duration::from_micros(50));
}
