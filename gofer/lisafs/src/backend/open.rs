//! Files that data moves through.

use std::any::Any;

use rustix::fs::OFlags;

use super::{AllocateFlags, Error, FileType, IoSource, IoTarget, Result, Statx};

/// What an open file may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// `O_RDONLY`.
    Read,
    /// `O_WRONLY`.
    Write,
    /// `O_RDWR`.
    ReadWrite,
}

impl Access {
    /// The access mode in `open(2)` flags. Mode 3 checks for both and grants neither in Linux; it is taken as both.
    pub fn from_flags(flags: u32) -> Self {
        match flags & 0b11 {
            0 => Access::Read,
            1 => Access::Write,
            _ => Access::ReadWrite,
        }
    }

    /// The access mode for `open(2)`.
    pub fn flags(self) -> u32 {
        match self {
            Access::Read => 0,
            Access::Write => 1,
            Access::ReadWrite => 2,
        }
    }

    /// Whether reading is allowed.
    pub fn reads(self) -> bool {
        self != Access::Write
    }

    /// Whether writing is allowed.
    pub fn writes(self) -> bool {
        self != Access::Read
    }
}

/// How to open a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OpenHow {
    /// What it will be used for.
    pub access: Access,
    /// Whether to empty it (`O_TRUNC`).
    pub truncate: bool,
    /// Whether to leave the time of access when it is read (`O_NOATIME`), if that is possible.
    pub no_atime: bool,
}

impl OpenHow {
    /// Opening for `access`, with the content as it is.
    pub const fn new(access: Access) -> Self {
        OpenHow { access, truncate: false, no_atime: false }
    }

    /// The same, emptying the file if `truncate`.
    #[must_use]
    pub const fn truncate(self, truncate: bool) -> Self {
        OpenHow { truncate, ..self }
    }

    /// The same, leaving the time of access if `no_atime`.
    #[must_use]
    pub const fn no_atime(self, no_atime: bool) -> Self {
        OpenHow { no_atime, ..self }
    }

    /// The flags of `open(2)`.
    pub fn flags(self) -> u32 {
        let mut flags = OFlags::from_bits_retain(self.access.flags());
        flags.set(OFlags::TRUNC, self.truncate);
        flags.set(OFlags::NOATIME, self.no_atime);
        flags.bits()
    }
}

/// What [`OpenFile::seek`] looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeekTo {
    /// Bytes that are not, or need not be, in a hole.
    Data,
    /// A hole, or the end of the file.
    Hole,
}

/// One entry of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DirEntry<'a> {
    /// The name, as it is: the server leaves out `.` and `..`.
    pub name: &'a [u8],
    /// Inode number, as in [`Statx::ino`].
    pub ino: u64,
    /// Device, as in [`Statx::dev_major`] and [`Statx::dev_minor`].
    pub dev: (u32, u32),
    /// The type, as in [`Statx::file_type`], if it is known.
    pub file_type: Option<FileType>,
    /// Where the listing goes on after this entry. Never 0, and stable while the directory is open.
    pub next: u64,
}

impl<'a> DirEntry<'a> {
    /// The entry `name`, behind which the listing goes on at `next`; the file is on a device of major and minor number 0.
    pub fn new(name: &'a [u8], ino: u64, file_type: impl Into<Option<FileType>>, next: u64) -> Self {
        DirEntry { name, ino, dev: (0, 0), file_type: file_type.into(), next }
    }

    /// The same of a file on the device with this major and minor number.
    #[must_use]
    pub fn on_device(self, major: u32, minor: u32) -> Self {
        DirEntry { dev: (major, minor), ..self }
    }
}

/// Takes the entries of a directory.
pub trait DirSink {
    /// Takes `entry` and returns `true`, or returns `false` because there is no room left: the entry was not taken, and
    /// the listing stops before it.
    fn add(&mut self, entry: &DirEntry<'_>) -> bool;
}

/// A file or directory that was opened.
pub trait OpenFile: Any + Send + Sync {
    /// Attributes, as they are now. Guarantee: *read*.
    fn stat(&self) -> Result<Statx>;

    /// Reads from byte `offset` on until `into` is full or the file ends, and says how many bytes it put there. Clients
    /// take fewer than they asked for as the end of the file. Guarantee: *read*.
    fn read_at(&self, into: IoTarget<'_>, offset: u64) -> Result<usize> {
        let _ = (into, offset);
        Err(Error::OPNOTSUPP)
    }

    /// Writes `from` at byte `offset`, and says how many bytes it took. If some were taken before an error came up,
    /// says so and keeps the error for the next call. Guarantee: *write*.
    fn write_at(&self, from: IoSource<'_>, offset: u64) -> Result<usize> {
        let _ = (from, offset);
        Err(Error::OPNOTSUPP)
    }

    /// Makes data and attributes durable: what an application has synced must survive the end of this process. A file
    /// system that does not outlive it has nothing to do. Guarantee: *read*.
    fn sync(&self) -> Result<()>;

    /// Reserves or frees space, as `fallocate(2)`. Guarantee: *write*.
    fn allocate(&self, flags: AllocateFlags, offset: u64, length: u64) -> Result<()> {
        let _ = (flags, offset, length);
        Err(Error::OPNOTSUPP)
    }

    /// Where the first data or hole at or behind `offset` is, as `lseek(2)` finds it: the end of a file counts as a
    /// hole, and without data behind `offset` it is `ENXIO`. By default `EOPNOTSUPP`: the client takes all of the file
    /// for data. Guarantee: *read*.
    fn seek(&self, offset: u64, what: SeekTo) -> Result<u64> {
        let _ = (offset, what);
        Err(Error::OPNOTSUPP)
    }

    /// Called when the application closes a writable descriptor, if Flush is supported. Guarantee: *read*.
    fn flush(&self) -> Result<()> {
        Err(Error::OPNOTSUPP)
    }

    /// Lists a directory from position `from` on, which is 0 for the start or some entry's [`DirEntry::next`], until
    /// the end or until `sink` has no room left. Never called twice at once for one open file. Guarantee: *read*.
    ///
    /// An entry that exists all the time while a directory is listed turns up exactly once.
    fn read_dir(&self, from: u64, sink: &mut dyn DirSink) -> Result<()> {
        let _ = (from, sink);
        Err(Error::NOTDIR)
    }
}
