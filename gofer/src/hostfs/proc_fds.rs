//! The magic links of `/proc/self/fd`.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use rustix::fs::{CWD, Mode, OFlags, PROC_SUPER_MAGIC, fstatfs, openat};
use rustix::io::retry_on_intr;
use rustix::path::DecInt;

use super::errno;
use super::helper::Helper;

use rustix::io::{Errno, Result};

/// A descriptor of the directory `/proc/self/fd`. The link "N" there leads to the very file that descriptor N is open
/// on, wherever that is and whatever its name is now.
///
/// It keeps working in a new root directory without `/proc`, but not after a `fork`: it goes on showing the parent's
/// descriptors. Clones share the descriptor and what else one process needs once.
#[derive(Clone)]
pub struct ProcFds {
    inner: Arc<Inner>,
}

struct Inner {
    dir: OwnedFd,
    helper: Mutex<Option<Arc<Helper>>>,
    /// Whether the kernel turned out to lack the calls for extended attributes of names in a directory.
    lacks_xattrat: AtomicBool,
    /// Whether it is the working directory of the process.
    is_entered: AtomicBool,
}

impl ProcFds {
    /// Opens `/proc/self/fd`. Fails with `ENOTSUP` if something else is found there.
    pub fn new() -> Result<Self> {
        let dir = openat(CWD, c"/proc/self/fd", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        Self::from_dir(dir)
    }

    /// The same on a descriptor of that directory, which may be a mount of its own: then nothing else of procfs can be
    /// reached from it.
    pub fn from_dir(dir: OwnedFd) -> Result<Self> {
        if fstatfs(&dir)?.f_type != PROC_SUPER_MAGIC {
            return Err(Errno::NOTSUP);
        }
        Ok(ProcFds {
            inner: Arc::new(Inner {
                dir,
                helper: Mutex::new(None),
                lacks_xattrat: AtomicBool::new(false),
                is_entered: AtomicBool::new(false),
            }),
        })
    }

    /// Makes it the working directory of the process, which must stay there. Where there is no `/proc`, extended
    /// attributes need that before Linux 6.13.
    pub fn enter(&self) -> Result<()> {
        rustix::process::fchdir(&self.inner.dir)?;
        self.inner.is_entered.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// The directory; names in it are those of [`ProcFds::name`].
    pub(super) fn dir(&self) -> BorrowedFd<'_> {
        self.inner.dir.as_fd()
    }

    /// The name that leads to the file of `fd`, symbolic links included: it is followed to the file and not beyond.
    pub(super) fn name(fd: BorrowedFd<'_>) -> DecInt {
        DecInt::from_fd(fd)
    }

    /// Opens the file of `fd` anew, never blocking and never taking a terminal.
    pub(super) fn reopen(&self, fd: BorrowedFd<'_>, flags: OFlags) -> Result<OwnedFd> {
        let flags = flags | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let name = Self::name(fd);
        retry_on_intr(|| openat(self.dir(), name.as_c_str(), flags, Mode::empty()))
    }

    /// Makes a call with extended attributes of the file of `fd`, in the way that this kernel allows.
    pub(super) fn with_target<T>(
        &self,
        fd: BorrowedFd<'_>,
        mut call: impl FnMut(Target<'_>) -> Result<T>,
    ) -> Result<T> {
        let name = Self::name(fd);
        if !self.inner.lacks_xattrat.load(Ordering::Relaxed) {
            match call(Target::Entry(self.dir(), name.as_c_str())) {
                Err(Errno::NOSYS) => self.inner.lacks_xattrat.store(true, Ordering::Relaxed),
                result => return result,
            }
        }
        if self.inner.is_entered.load(Ordering::Relaxed) {
            return call(Target::Path(name.as_c_str()));
        }
        let path = CString::new([&b"/proc/self/fd/"[..], name.as_bytes()].concat()).map_err(|_| Errno::INVAL)?;
        call(Target::Path(&path))
    }

    /// The process's helper thread, which the first caller starts.
    pub(super) fn helper(&self) -> Result<Arc<Helper>> {
        let mut helper = self.inner.helper.lock();
        match &*helper {
            Some(helper) => Ok(Arc::clone(helper)),
            None => Ok(Arc::clone(
                helper.insert(Arc::new(Helper::start(self.inner.dir.try_clone().map_err(|error| errno(&error))?)?)),
            )),
        }
    }
}

impl std::fmt::Debug for ProcFds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ProcFds").field(&self.inner.dir).finish()
    }
}

#[cfg(test)]
impl ProcFds {
    /// As if the kernel had said so.
    pub(super) fn pretend_old_kernel(&self) {
        self.inner.lacks_xattrat.store(true, Ordering::Relaxed);
    }
}

/// How to name a file in a system call.
#[derive(Clone, Copy)]
pub(super) enum Target<'a> {
    /// A name in a directory.
    Entry(BorrowedFd<'a>, &'a CStr),
    /// A path, for calls of old kernels. It needs `/proc`, or [`ProcFds::enter`].
    Path(&'a CStr),
}
