//! A read-only file system with one file, as an extension: a whole gofer. The chapter docs/extending.md mounts it.

use std::process::ExitCode;
use std::sync::Arc;

use gofer::extension::{self, Backends, Claim, Extension};
use lisafs::backend::{
    Attachment, Backend, ControlFile, DirEntry, DirSink, Error, FileType, Found, IoTarget, Name, OpenFile, OpenHow,
    Opened, Options, Result, Statx, StatxMask,
};

const ROOT: u64 = 1;
const HELLO: u64 = 2;

/// A file, by its inode number. All of them know the text.
#[derive(Clone)]
struct File {
    ino: u64,
    text: Arc<str>,
}

impl File {
    fn attributes(&self) -> Statx {
        let (mode, size) = if self.ino == ROOT { (0o040_555, 0) } else { (0o100_444, self.text.len() as u64) };
        // The device makes the inode number unique among those of other file systems.
        Statx { mask: StatxMask::BASIC_STATS, mode, size, ino: self.ino, nlink: 1, dev_major: 77, ..Statx::default() }
    }

    fn found(&self, ino: u64) -> Found {
        let file = File { ino, text: self.text.clone() };
        let stat = file.attributes();
        Found::new(file, stat)
    }
}

impl Backend for File {
    fn options(&self) -> Options {
        Options::default().read_only(true)
    }

    fn attach(&self) -> Result<Attachment> {
        Ok(Attachment::new(self.found(ROOT)))
    }
}

impl ControlFile for File {
    fn stat(&self) -> Result<Statx> {
        Ok(self.attributes())
    }

    fn walk(&self, name: Name<'_>) -> Result<Found> {
        if name.as_bytes() == b"hello" { Ok(self.found(HELLO)) } else { Err(Error::NOENT) }
    }

    fn open(&self, _: OpenHow) -> Result<Opened> {
        Ok(Opened::new(self.clone()))
    }
}

impl OpenFile for File {
    fn stat(&self) -> Result<Statx> {
        Ok(self.attributes())
    }

    fn read_at(&self, mut into: IoTarget<'_>, offset: u64) -> Result<usize> {
        let rest =
            usize::try_from(offset).ok().and_then(|offset| self.text.as_bytes().get(offset..)).unwrap_or_default();
        let part = &rest[..rest.len().min(into.len())];
        into.put(0, part);
        Ok(part.len())
    }

    fn sync(&self) -> Result<()> {
        Ok(())
    }

    fn read_dir(&self, from: u64, sink: &mut dyn DirSink) -> Result<()> {
        if from == 0 {
            sink.add(&DirEntry::new(b"hello", HELLO, FileType::Regular, 1).on_device(77, 0));
        }
        Ok(())
    }
}

/// Answers `greeting:WHOM`.
struct Greeting;

impl Extension for Greeting {
    fn name(&self) -> &'static str {
        "greeting"
    }

    fn open(&self, argument: &str, _: &Backends<'_>) -> extension::Result<Claim> {
        Ok(Claim::new(Arc::new(File { ino: ROOT, text: format!("Hello, {argument}!\n").into() })))
    }
}

fn main() -> ExitCode {
    gofer::main_with(vec![Box::new(Greeting)])
}
