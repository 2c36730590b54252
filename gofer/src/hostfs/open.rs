//! Opening files, and what was opened.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{FallocateFlags, FileType, OFlags, SeekFrom, fallocate, fsync, seek};
use rustix::io::{Errno, fcntl_dupfd_cloexec, retry_on_intr};

use super::attributes;
use super::control::HostControl;
use super::dir::HostDir;
use lisafs::backend::{
    Access, AllocateFlags, Error, IoSource, IoTarget, OpenFile, OpenHow, Opened, Result, SeekTo, Statx,
};

/// The access mode for `open(2)`.
pub(super) fn access_flags(access: Access) -> OFlags {
    match access {
        Access::Read => OFlags::RDONLY,
        Access::Write => OFlags::WRONLY,
        Access::ReadWrite => OFlags::RDWR,
    }
}

impl HostControl {
    pub(super) fn open_host(&self, how: OpenHow) -> Result<Opened> {
        let options = &self.shared.options;
        match self.kind {
            FileType::Directory => self.open_dir(how),
            FileType::RegularFile => self.open_file(how),
            FileType::Fifo if options.host_fifo => self.open_file(how),
            FileType::CharacterDevice if options.char_devices => self.open_file(how),
            // What the kernel says; a socket is to be connected to.
            FileType::Socket if options.host_uds.opens() => Err(Error::NXIO),
            FileType::Symlink => Err(Error::INVAL),
            _ => Err(Error::PERM),
        }
    }

    fn open_file(&self, how: OpenHow) -> Result<Opened> {
        let truncate = if how.truncate { OFlags::TRUNC } else { OFlags::empty() };
        let fd = self.reopen(access_flags(how.access) | truncate, how.no_atime)?;
        let duplicate = || fcntl_dupfd_cloexec(&fd, 0);
        // The client cannot use special files without one: they have no offsets that a request could name. And a client
        // with directfs cannot open the root by itself. Other files it can read by asking.
        let donated = if self.kind != FileType::RegularFile || self.must_donate() {
            Some(duplicate()?)
        } else if self.shared.options.donate_files {
            duplicate().ok()
        } else {
            None
        };
        Ok(Opened::new(HostFile { fd, is_regular: self.kind == FileType::RegularFile }).donating(donated))
    }

    fn open_dir(&self, how: OpenHow) -> Result<Opened> {
        if how.access != Access::Read || how.truncate {
            return Err(Error::ISDIR);
        }
        let open = || self.reopen(OFlags::RDONLY | OFlags::DIRECTORY, how.no_atime);
        // Opened twice: a duplicate would share the position.
        let donated = if self.must_donate() { Some(open()?) } else { None };
        Ok(Opened::new(HostDir::new(open()?)).donating(donated))
    }

    fn reopen(&self, flags: OFlags, no_atime: bool) -> rustix::io::Result<OwnedFd> {
        let reopen = |flags| self.shared.proc_fds.reopen(self.fd(), flags);
        match if no_atime { reopen(flags | OFlags::NOATIME) } else { Err(Errno::PERM) } {
            // Only to a file's owner the kernel grants that.
            Err(Errno::PERM) => reopen(flags),
            result => result,
        }
    }

    fn must_donate(&self) -> bool {
        self.is_root && self.shared.options.donate_root
    }
}

/// An open file that is not a directory.
pub(super) struct HostFile {
    fd: OwnedFd,
    is_regular: bool,
}

impl HostFile {
    /// A regular file.
    pub(super) fn new(fd: OwnedFd) -> Self {
        HostFile { fd, is_regular: true }
    }

    /// What data goes through. That of special files goes through the client's descriptor: it may have made that one
    /// blocking, and with it this one.
    fn data(&self) -> Result<BorrowedFd<'_>> {
        if self.is_regular { Ok(self.fd.as_fd()) } else { Err(Error::SPIPE) }
    }
}

impl OpenFile for HostFile {
    fn stat(&self) -> Result<Statx> {
        Ok(attributes::stat(self.fd.as_fd())?)
    }

    fn read_at(&self, mut into: IoTarget<'_>, offset: u64) -> Result<usize> {
        Ok(into.fill_from(self.data()?, offset)?)
    }

    fn write_at(&self, from: IoSource<'_>, offset: u64) -> Result<usize> {
        let fd = self.data()?;
        let mut done = 0;
        while done < from.len() {
            let Some(offset) = offset.checked_add(done as u64) else { break };
            match from.part(done, from.len() - done).drain_to(fd, offset) {
                Ok(0) => break,
                Ok(n) => done += n,
                // What was written counts. Whoever writes the rest gets the error, since its cause lasts.
                Err(_) if done > 0 => break,
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(done)
    }

    fn sync(&self) -> Result<()> {
        Ok(retry_on_intr(|| fsync(&self.fd))?)
    }

    fn allocate(&self, flags: AllocateFlags, offset: u64, length: u64) -> Result<()> {
        let flags = FallocateFlags::from_bits_retain(flags.bits());
        Ok(retry_on_intr(|| fallocate(&self.fd, flags, offset, length))?)
    }

    fn seek(&self, offset: u64, what: SeekTo) -> Result<u64> {
        let to = match what {
            SeekTo::Data => SeekFrom::Data(offset),
            SeekTo::Hole => SeekFrom::Hole(offset),
        };
        // It moves the position, which is of no use to anybody: all reading and writing is at offsets.
        Ok(seek(self.data()?, to)?)
    }
}
