//! Listing directories.

use std::ffi::CStr;
use std::os::fd::{AsFd, OwnedFd};

use parking_lot::Mutex;
use rustix::fs::{AtFlags, SeekFrom, StatxFlags, fsync, seek, statx};
use rustix::io::retry_on_intr;

use super::{attributes, raw};
use lisafs::backend::{DirEntry, DirSink, Errno, Error, FileType, OpenFile, Result, Statx};

/// Bytes of entries that are taken from the kernel at once.
const BUFFER: usize = 8 << 10;

/// A position that no listing can go on from.
const UNKNOWN: u64 = u64::MAX;

/// An open directory.
pub(super) struct HostDir {
    fd: OwnedFd,
    stream: Mutex<Stream>,
}

/// How far the listing is.
///
/// Entries that the kernel has given and the client had no room for are kept. Seeking back for them would do too, but
/// on file systems that count their entries (tmpfs before Linux 6.6) it skips some after a removal.
#[derive(Default)]
struct Stream {
    /// The position behind the last entry that was taken: what the next call comes with, if it goes on.
    position: u64,
    /// Entries from there on, in the kernel's form. Those after them are the next that the descriptor gives.
    left: Vec<u8>,
}

impl HostDir {
    pub(super) fn new(fd: OwnedFd) -> Self {
        HostDir { fd, stream: Mutex::default() }
    }

    /// Gives `sink` what follows position `from`.
    fn go_on(&self, stream: &mut Stream, from: u64, sink: &mut dyn DirSink) -> Result<()> {
        let Stream { position, left } = stream;
        // Starting over means to see what is new.
        if from == 0 || from != *position {
            left.clear();
            seek(&self.fd, SeekFrom::Start(from))?;
            *position = from;
        }
        if !left.is_empty() {
            let kept = self.give(left, position, sink)?.len();
            left.drain(..left.len() - kept);
        }
        let mut buffer = [0; BUFFER];
        while left.is_empty() {
            match raw::getdents64(self.fd.as_fd(), &mut buffer) {
                Ok(0) => break,
                Ok(len) => left.extend_from_slice(self.give(&buffer[..len], position, sink)?),
                // What was given counts. Whoever goes on from there gets the error.
                Err(_) if *position != from => break,
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }

    /// Gives `entries` to `sink` and returns those that it had no room for.
    fn give<'a>(&self, mut entries: &'a [u8], position: &mut u64, sink: &mut dyn DirSink) -> Result<&'a [u8]> {
        while !entries.is_empty() {
            let (raw, rest) = RawEntry::split(entries)?;
            if !matches!(raw.name.to_bytes(), b"." | b"..") {
                match self.describe(&raw) {
                    Err(error) if error == Errno::NOENT => {}
                    entry => {
                        if !sink.add(&entry?) {
                            break;
                        }
                        *position = raw.next;
                    }
                }
            }
            entries = rest;
        }
        Ok(entries)
    }

    /// The entry with the number and the device that its attributes show; those differ from the directory's at a mount
    /// point. `ENOENT` if it is gone.
    fn describe<'a>(&self, raw: &RawEntry<'a>) -> Result<DirEntry<'a>> {
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT | AtFlags::STATX_DONT_SYNC;
        let (ino, dev, file_type) = match statx(&self.fd, raw.name, flags, StatxFlags::TYPE | StatxFlags::INO) {
            Ok(stat) => {
                (stat.stx_ino, (stat.stx_dev_major, stat.stx_dev_minor), FileType::from_mode(stat.stx_mode.into()))
            }
            Err(rustix::io::Errno::NOENT) => return Err(Error::NOENT),
            // It is there, so it is reported, with what the directory knows of it.
            Err(_) => {
                let dir = self.stat()?;
                (raw.ino, (dir.dev_major, dir.dev_minor), raw.file_type)
            }
        };
        Ok(DirEntry::new(raw.name.to_bytes(), ino, file_type, raw.next).on_device(dev.0, dev.1))
    }
}

impl OpenFile for HostDir {
    fn stat(&self) -> Result<Statx> {
        Ok(attributes::stat(self.fd.as_fd())?)
    }

    fn sync(&self) -> Result<()> {
        Ok(retry_on_intr(|| fsync(&self.fd))?)
    }

    fn read_dir(&self, from: u64, sink: &mut dyn DirSink) -> Result<()> {
        let mut stream = self.stream.lock();
        let result = self.go_on(&mut stream, from, sink);
        if result.is_err() {
            // The descriptor may be past entries that nobody got.
            *stream = Stream { position: UNKNOWN, left: Vec::new() };
        }
        result
    }
}

/// One entry as it comes from the kernel.
struct RawEntry<'a> {
    ino: u64,
    next: u64,
    file_type: Option<FileType>,
    name: &'a CStr,
}

impl<'a> RawEntry<'a> {
    /// The first entry in `bytes`, a sequence of `struct linux_dirent64`, and the others.
    fn split(bytes: &'a [u8]) -> Result<(Self, &'a [u8])> {
        Self::parse(bytes).ok_or(Error::IO)
    }

    fn parse(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (ino, tail) = bytes.split_first_chunk()?;
        let (next, tail) = tail.split_first_chunk()?;
        let (len, _) = tail.split_first_chunk()?;
        let (entry, rest) = bytes.split_at_checked(u16::from_ne_bytes(*len).into())?;
        let (file_type, name) = entry.get(18..)?.split_first()?;
        let raw = RawEntry {
            ino: u64::from_ne_bytes(*ino),
            next: u64::from_ne_bytes(*next),
            file_type: FileType::from_mode(u32::from(*file_type) << 12),
            name: CStr::from_bytes_until_nul(name).ok()?,
        };
        // A position of 0 would start the listing over, for ever.
        (raw.next != 0).then_some((raw, rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_entries_are_errors() {
        let mut entry = [&7_u64.to_ne_bytes()[..], &9_u64.to_ne_bytes(), &24_u16.to_ne_bytes(), b"\x08name\0"].concat();
        let (raw, rest) = RawEntry::split(&entry).ok().unwrap();
        assert_eq!((raw.ino, raw.next, raw.file_type, raw.name), (7, 9, Some(FileType::Regular), c"name"));
        assert!(rest.is_empty());
        for len in 1..entry.len() {
            assert!(RawEntry::split(&entry[..len]).is_err(), "{len}");
        }
        *entry.last_mut().unwrap() = b'!';
        assert!(RawEntry::split(&entry).is_err());
    }

    #[test]
    fn a_position_that_means_the_start_is_an_error() {
        let entry = [&7_u64.to_ne_bytes()[..], &0_u64.to_ne_bytes(), &24_u16.to_ne_bytes(), b"\x08name\0"].concat();
        assert!(RawEntry::split(&entry).is_err());
    }
}
