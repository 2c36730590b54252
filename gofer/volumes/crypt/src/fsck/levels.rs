//! The way down to a directory, with few descriptors however deep it is.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags, Stat, fstat, openat};

/// How many directories of the way are open at once.
const OPEN: usize = 32;

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Directories, each in the one before.
#[derive(Debug, Default)]
pub(super) struct Levels(Vec<Level>);

#[derive(Debug)]
struct Level {
    /// Closed while many others are below.
    fd: Option<OwnedFd>,
    dev: u64,
    ino: u64,
}

impl Levels {
    /// Begins with `root`.
    pub(super) fn begin(root: OwnedFd) -> io::Result<Self> {
        let stat = fstat(&root)?;
        Ok(Levels(vec![Level { fd: Some(root), dev: stat.st_dev, ino: stat.st_ino }]))
    }

    /// The last one.
    pub(super) fn last(&self) -> BorrowedFd<'_> {
        let fd = self.0.last().and_then(|level| level.fd.as_ref());
        fd.expect("the last directory is open").as_fd()
    }

    /// Goes down to `name`.
    pub(super) fn down(&mut self, name: &[u8]) -> io::Result<Stat> {
        let fd = openat(self.last(), name, DIRECTORY, Mode::empty())?;
        let stat = fstat(&fd)?;
        if let Some(far) = self.0.len().checked_sub(OPEN) {
            self.0[far].fd = None;
        }
        self.0.push(Level { fd: Some(fd), dev: stat.st_dev, ino: stat.st_ino });
        Ok(stat)
    }

    /// Goes up again. `false` at the root. An error is a directory that was moved meanwhile.
    pub(super) fn up(&mut self) -> io::Result<bool> {
        let left = self.0.pop();
        let (Some(left), Some(level)) = (left, self.0.last_mut()) else { return Ok(false) };
        if level.fd.is_none() {
            let fd = left.fd.expect("the last directory is open");
            let above = openat(&fd, "..", DIRECTORY, Mode::empty())?;
            let stat = fstat(&above)?;
            if (stat.st_dev, stat.st_ino) != (level.dev, level.ino) {
                return Err(io::Error::other("directories were moved in the meantime"));
            }
            level.fd = Some(above);
        }
        Ok(true)
    }
}
