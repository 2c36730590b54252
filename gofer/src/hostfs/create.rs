//! Making files.
//!
//! A new file gets its owner after it was made, so every maker can fail halfway; then the file is removed again.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::{
    AtFlags, Dev, FileType, Mode, OFlags, linkat, makedev, mkdirat, mknodat, openat, symlinkat, unlinkat,
};
use rustix::io::{fcntl_dupfd_cloexec, retry_on_intr};

use super::attributes::{self, PERMISSIONS, SET_IDS, is_same_file, kind, set_owner, stat_entry};
use super::control::HostControl;
use super::open::{HostFile, access_flags};
use super::options::SpecialFiles;
use super::proc_fds::ProcFds;
use super::umask::with_umask;
use lisafs::backend::{Access, Created, Found, NO_ID, Name, NewFile, Opened, Statx};
use rustix::io::{Errno, Result};

impl HostControl {
    /// Creates a regular file and opens it at once, so that its mode need not allow it.
    pub(super) fn create_file(&self, name: Name<'_>, new: &NewFile, access: Access) -> Result<Created> {
        let (found, opened) = self.make_file(name, new, access)?;
        // Without it the client asks for each read, which is no reason to fail.
        let donated = if self.shared.options.donate_files { fcntl_dupfd_cloexec(&opened, 0).ok() } else { None };
        Ok(Created::new(found, Opened::new(HostFile::new(opened)).donating(donated)))
    }

    /// Makes a regular file by opening it: the only kind that can be made and held in one step.
    fn make_file(&self, name: Name<'_>, new: &NewFile, access: Access) -> Result<(Found, OwnedFd)> {
        let flags = access_flags(access)
            | OFlags::CREATE
            | OFlags::EXCL
            | OFlags::NOFOLLOW
            | OFlags::NONBLOCK
            | OFlags::NOCTTY
            | OFlags::CLOEXEC;
        let open = || openat(&self.fd, name.as_bytes(), flags, first_mode(new));
        let opened = with_umask(new.masked, || retry_on_intr(open))?;
        let held = self
            .shared
            .proc_fds
            .reopen(opened.as_fd(), OFlags::PATH)
            .inspect_err(|_| self.undo(name, FileType::RegularFile, Some(opened.as_fd())))?;
        Ok((self.settle(name, held, FileType::RegularFile, new)?, opened))
    }

    /// Makes a directory.
    pub(super) fn make_dir(&self, name: Name<'_>, new: &NewFile) -> Result<Found> {
        self.make(name, new, FileType::Directory, || mkdirat(&self.fd, name.as_bytes(), first_mode(new)))
    }

    /// Makes a symbolic link.
    pub(super) fn make_symlink(&self, name: Name<'_>, target: &[u8], new: &NewFile) -> Result<Found> {
        self.make(name, new, FileType::Symlink, || symlinkat(target, &self.fd, name.as_bytes()))
    }

    /// Makes a regular or special file.
    pub(super) fn make_node(
        &self,
        name: Name<'_>,
        new: &NewFile,
        file_type: lisafs::backend::FileType,
        device: (u32, u32),
    ) -> Result<Found> {
        let kind = FileType::from_raw_mode(file_type.bits().into());
        let is_device = matches!(kind, FileType::CharacterDevice | FileType::BlockDevice);
        match (self.shared.options.special, kind) {
            (_, FileType::RegularFile) => return Ok(self.make_file(name, new, Access::Read)?.0),
            (SpecialFiles::Refuse, FileType::CharacterDevice) if device == (0, 0) => {}
            (SpecialFiles::Refuse, _) => return Err(Errno::PERM),
            (SpecialFiles::Create, FileType::Fifo | FileType::Socket) => {}
            (SpecialFiles::Create, _) if is_device => {}
            (SpecialFiles::Create, _) => return Err(Errno::INVAL),
        }
        let device = if is_device { device_number(device)? } else { 0 };
        self.make(name, new, kind, || mknodat(&self.fd, name.as_bytes(), kind, first_mode(new), device))
    }

    /// Makes a hard link to `target`.
    pub(super) fn make_link(&self, name: Name<'_>, target: &HostControl) -> Result<Found> {
        let link = ProcFds::name(target.fd());
        linkat(self.proc_dir(), link.as_c_str(), &self.fd, name.as_bytes(), AtFlags::SYMLINK_FOLLOW)?;
        self.find_link(name, target).inspect_err(|_| self.undo(name, target.kind, Some(target.fd())))
    }

    /// The new link `name` to `target`.
    fn find_link(&self, name: Name<'_>, target: &HostControl) -> Result<Found> {
        let stat = attributes::stat(target.fd())?;
        let is_link = |fd: &OwnedFd| attributes::stat(fd.as_fd()).is_ok_and(|found| is_same_file(&found, &stat));
        let held = match self.hold(name).ok().filter(is_link) {
            Some(fd) => fd,
            // Somebody changed the name already. The link was made, and this is the file.
            None => fcntl_dupfd_cloexec(&target.fd, 0)?,
        };
        Self::admit(&self.shared, held, stat)
    }

    /// Makes a file of type `expected` by way of `how`.
    pub(super) fn make(
        &self,
        name: Name<'_>,
        new: &NewFile,
        expected: FileType,
        how: impl FnOnce() -> Result<()>,
    ) -> Result<Found> {
        with_umask(new.masked, how)?;
        let held = self.hold(name).inspect_err(|_| self.undo(name, expected, None))?;
        self.settle(name, held, expected, new)
    }

    /// Completes the new file `held` and gets its attributes; removes it if that fails.
    fn settle(&self, name: Name<'_>, held: OwnedFd, expected: FileType, new: &NewFile) -> Result<Found> {
        let file = HostControl { shared: Arc::clone(&self.shared), fd: held, kind: expected, is_root: false };
        match file.complete(new) {
            Ok(stat) => Ok(Found::new(file, stat)),
            Err(errno) => {
                self.undo(name, expected, Some(file.fd()));
                Err(errno)
            }
        }
    }

    /// Gives this new file its owner, its group and set-id bits.
    fn complete(&self, new: &NewFile) -> Result<Statx> {
        let mut stat = attributes::stat(self.fd())?;
        if kind(&stat) != self.kind {
            // Not what was made a moment ago: hands off.
            return Err(Errno::NOENT);
        }
        let other = |wanted: u32, is: u32| Some(wanted).filter(|id| *id != NO_ID && *id != is);
        let (uid, gid) = (other(new.uid, stat.uid), other(new.gid, stat.gid));
        if uid.is_some() || gid.is_some() {
            set_owner(self.fd(), uid, gid)?;
            stat = attributes::stat(self.fd())?;
        }
        // Other bits may differ for a good reason: an access control list that the directory passes on.
        let missing = u32::from(new.mode.bits()) & SET_IDS & !u32::from(stat.mode);
        if missing != 0 && self.kind != FileType::Symlink {
            self.set_mode(u32::from(stat.mode) | missing)?;
            stat = attributes::stat(self.fd())?;
        }
        Ok(stat)
    }

    /// Removes a file that was made but not completed. Without `made` there is only its type to know it by.
    pub(super) fn undo(&self, name: Name<'_>, expected: FileType, made: Option<BorrowedFd<'_>>) {
        let Ok(now) = stat_entry(self.fd(), name.as_bytes()) else { return };
        let made = made.map(attributes::stat);
        let is_it = kind(&now) == expected
            && made.is_none_or(|made: Result<Statx>| made.is_ok_and(|made| is_same_file(&made, &now)));
        if is_it {
            let flags = if expected == FileType::Directory { AtFlags::REMOVEDIR } else { AtFlags::empty() };
            // If even that fails there is nobody to tell: the caller gets the first error.
            let _ = unlinkat(&self.fd, name.as_bytes(), flags);
        }
    }
}

/// The mode to make a file with, from which the kernel takes the umask unless the directory has a default access
/// control list.
fn first_mode(new: &NewFile) -> Mode {
    without_set_ids(new.unmasked_mode())
}

/// The mode without set-id bits, which wait for the owner they are meant for.
pub(super) fn without_set_ids(mode: lisafs::backend::Mode) -> Mode {
    Mode::from_raw_mode(u32::from(mode.bits()) & PERMISSIONS & !SET_IDS)
}

/// Major and minor number in one; `EINVAL` for what the kernel would cut off.
fn device_number((major, minor): (u32, u32)) -> Result<Dev> {
    if major < 1 << 12 && minor < 1 << 20 { Ok(makedev(major, minor)) } else { Err(Errno::INVAL) }
}
