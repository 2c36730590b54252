//! Positions in a host directory's tree.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, RenameFlags as HostRename, openat, renameat, renameat_with, unlinkat,
};
use rustix::io::{Errno, retry_on_intr};

use super::{Shared, attributes};
use lisafs::backend::{
    Access, Bound, ControlFile, Created, Credentials, Error, Found, Name, NewFile, OpenHow, Opened, RenameFlags,
    Result, SetStat, SetStatFailure, SocketType, StatFs, Statx, Unlink, XattrFlags,
};

/// A file of the host, held but not opened. As long as it lives its inode number is not used for another file.
pub(super) struct HostControl {
    pub(super) shared: Arc<Shared>,
    /// Opened with `O_PATH`, and without following if it is a symbolic link.
    pub(super) fd: OwnedFd,
    pub(super) kind: FileType,
    /// Whether the client mounted this file.
    pub(super) is_root: bool,
}

impl HostControl {
    /// The file of `fd`, an `O_PATH` descriptor, if its type may be seen.
    pub(super) fn admit(shared: &Arc<Shared>, fd: OwnedFd, stat: Statx) -> rustix::io::Result<Found> {
        Self::found(shared, fd, stat, false)
    }

    /// The same for the root of the mount.
    pub(super) fn root(shared: &Arc<Shared>, fd: OwnedFd, stat: Statx) -> rustix::io::Result<Found> {
        Self::found(shared, fd, stat, true)
    }

    fn found(shared: &Arc<Shared>, fd: OwnedFd, stat: Statx, is_root: bool) -> rustix::io::Result<Found> {
        let kind = attributes::kind(&stat);
        if !shared.options.admits(kind) {
            return Err(Errno::PERM);
        }
        Ok(Found::new(HostControl { shared: Arc::clone(shared), fd, kind, is_root }, stat))
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    pub(super) fn proc_dir(&self) -> BorrowedFd<'_> {
        self.shared.proc_fds.dir()
    }

    /// Holds the entry `name` of this directory.
    pub(super) fn hold(&self, name: Name<'_>) -> rustix::io::Result<OwnedFd> {
        hold(self.fd(), name, OFlags::empty())
    }
}

/// Holds the entry `name` of `dir` without opening it.
fn hold(dir: BorrowedFd<'_>, name: Name<'_>, how: OFlags) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC | how;
    retry_on_intr(|| openat(dir, name.as_bytes(), flags, Mode::empty()))
}

/// Holds the entry `name` of `dir`, and has mounted what the kernel mounts there for those who go in.
fn enter(dir: BorrowedFd<'_>, name: Name<'_>) -> rustix::io::Result<(OwnedFd, Statx)> {
    let fd = hold(dir, name, OFlags::empty())?;
    let (stat, is_suspect) = attributes::stat_held(fd.as_fd())?;
    // Asking for a directory is what makes the kernel mount it. If that fails, what is under it is all there is.
    if is_suspect && let Ok(fd) = hold(dir, name, OFlags::DIRECTORY) {
        let stat = attributes::stat(fd.as_fd())?;
        return Ok((fd, stat));
    }
    Ok((fd, stat))
}

impl ControlFile for HostControl {
    fn stat(&self) -> Result<Statx> {
        Ok(attributes::stat(self.fd())?)
    }

    fn walk(&self, name: Name<'_>) -> Result<Found> {
        let (fd, stat) = enter(self.fd(), name)?;
        Ok(Self::admit(&self.shared, fd, stat)?)
    }

    fn walk_stat(&self, path: &mut dyn Iterator<Item = Name<'_>>, visit: &mut dyn FnMut(Statx)) -> Result<()> {
        let mut held: Option<OwnedFd> = None;
        let mut next = path.next();
        while let Some(name) = next {
            next = path.next();
            let dir = held.as_ref().map_or(self.fd(), AsFd::as_fd);
            // The last one is only looked at.
            let step = if next.is_some() {
                enter(dir, name).map(|(fd, stat)| (stat, Some(fd)))
            } else {
                attributes::stat_entry(dir, name.as_bytes()).map(|stat| (stat, None))
            };
            let (stat, fd) = match step {
                Err(Errno::NOENT) => return Ok(()),
                step => step?,
            };
            let kind = attributes::kind(&stat);
            if !self.shared.options.admits(kind) {
                return Err(Error::PERM);
            }
            visit(stat);
            if kind == FileType::Symlink {
                return Ok(());
            }
            held = fd;
        }
        Ok(())
    }

    fn open(&self, how: OpenHow) -> Result<Opened> {
        self.open_host(how)
    }

    fn set_stat(&self, change: &SetStat) -> std::result::Result<(), SetStatFailure> {
        self.apply(change)
    }

    fn create(&self, name: Name<'_>, new: &NewFile, access: Access) -> Result<Created> {
        Ok(self.create_file(name, new, access)?)
    }

    fn mkdir(&self, name: Name<'_>, new: &NewFile) -> Result<Found> {
        Ok(self.make_dir(name, new)?)
    }

    fn mknod(
        &self,
        name: Name<'_>,
        new: &NewFile,
        file_type: lisafs::backend::FileType,
        device: (u32, u32),
    ) -> Result<Found> {
        Ok(self.make_node(name, new, file_type, device)?)
    }

    fn symlink(&self, name: Name<'_>, target: &[u8], new: &NewFile) -> Result<Found> {
        Ok(self.make_symlink(name, target, new)?)
    }

    fn link(&self, name: Name<'_>, target: &dyn ControlFile) -> Result<Found> {
        Ok(self.make_link(name, target.downcast()?)?)
    }

    fn unlink(&self, name: Name<'_>, what: Unlink) -> Result<()> {
        let flags = match what {
            Unlink::File => AtFlags::empty(),
            Unlink::Directory => AtFlags::REMOVEDIR,
        };
        Ok(unlinkat(&self.fd, name.as_bytes(), flags)?)
    }

    fn rename(&self, name: Name<'_>, new_dir: &dyn ControlFile, new_name: Name<'_>, flags: RenameFlags) -> Result<()> {
        let new_dir: &HostControl = new_dir.downcast()?;
        let (from, to) = (name.as_bytes(), new_name.as_bytes());
        let renamed = match flags {
            RenameFlags::Replace => renameat(&self.fd, from, &new_dir.fd, to),
            RenameFlags::NoReplace => renameat_with(&self.fd, from, &new_dir.fd, to, HostRename::NOREPLACE),
            RenameFlags::Exchange => renameat_with(&self.fd, from, &new_dir.fd, to, HostRename::EXCHANGE),
            RenameFlags::Whiteout => renameat_with(&self.fd, from, &new_dir.fd, to, HostRename::WHITEOUT),
            RenameFlags::WhiteoutNoReplace => {
                renameat_with(&self.fd, from, &new_dir.fd, to, HostRename::WHITEOUT | HostRename::NOREPLACE)
            }
            _ => return Err(Error::INVAL),
        };
        Ok(renamed?)
    }

    fn read_link(&self) -> Result<Vec<u8>> {
        if self.kind != FileType::Symlink {
            return Err(Error::INVAL);
        }
        Ok(rustix::fs::readlinkat(&self.fd, c"", Vec::new())?.into_bytes())
    }

    fn stat_fs(&self) -> Result<StatFs> {
        Ok(attributes::stat_fs(self.fd())?)
    }

    fn get_xattr(&self, name: &[u8]) -> Result<Vec<u8>> {
        Ok(self.read_xattr(name)?)
    }

    fn set_xattr(&self, name: &[u8], value: &[u8], flags: XattrFlags) -> Result<()> {
        Ok(self.write_xattr(name, value, flags.bits())?)
    }

    fn list_xattr(&self) -> Result<Vec<Vec<u8>>> {
        Ok(self.xattr_names()?)
    }

    fn remove_xattr(&self, name: &[u8]) -> Result<()> {
        Ok(self.drop_xattr(name)?)
    }

    fn connect(&self, kind: Option<SocketType>, credentials: Option<Credentials>) -> Result<OwnedFd> {
        Ok(self.connect_host(kind, credentials)?)
    }

    fn bind(&self, name: Name<'_>, new: &NewFile, kind: SocketType) -> Result<Bound> {
        Ok(self.bind_host(name, new, kind)?)
    }
}
