//! Positions.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use lisafs::backend::{
    Access, Bound, BoundSocket, ControlFile, Created, Credentials, FileType, Found, Name, NewFile, OpenHow, Opened,
    RenameFlags, Result, SetStat, SetStatFailure, SocketType, StatFs, Statx, Unlink, XattrFlags,
};
use lisafs::wire::{CreateCommon, FdId};

use super::Session;
use super::open::RemoteOpen;

/// A control FD of the server.
pub(super) struct RemoteControl {
    pub(super) session: Arc<Session>,
    pub(super) fd: FdId,
    /// The root's is everybody's.
    pub(super) is_root: bool,
}

impl Drop for RemoteControl {
    fn drop(&mut self) {
        if !self.is_root {
            self.session.close(self.fd);
        }
    }
}

impl RemoteControl {
    fn common(&self, new: &NewFile, file_type: Option<FileType>) -> CreateCommon {
        let mode = new.mode.bits() | file_type.map_or(0, FileType::bits);
        CreateCommon::new(self.fd, new.uid, new.gid, mode).masked(new.masked.bits())
    }

    fn opened(&self, fd: FdId, donated: Option<OwnedFd>) -> Opened {
        Opened::new(RemoteOpen::new(self.session.clone(), fd)).donating(donated)
    }
}

/// The kernel's number for a kind of socket.
fn socket_type(kind: SocketType) -> u32 {
    match kind {
        SocketType::Stream => 1,
        SocketType::Datagram => 2,
        SocketType::SeqPacket => 5,
    }
}

impl ControlFile for RemoteControl {
    fn stat(&self) -> Result<Statx> {
        Ok(self.session.client.fstat(self.fd)?)
    }

    fn walk(&self, name: Name<'_>) -> Result<Found> {
        let inode = self.session.client.lookup(self.fd, name.as_bytes())?;
        Ok(self.session.found(&inode))
    }

    fn open(&self, how: OpenHow) -> Result<Opened> {
        let (fd, donated) = self.session.client.open_at(self.fd, how.flags())?;
        Ok(self.opened(fd, donated))
    }

    fn set_stat(&self, change: &SetStat) -> std::result::Result<(), SetStatFailure> {
        let answer = self.session.client.set_stat(self.fd, change);
        answer.unwrap_or_else(|errno| Err(SetStatFailure::new(change.mask(), errno)))
    }

    fn create(&self, name: Name<'_>, new: &NewFile, access: Access) -> Result<Created> {
        let (common, flags) = (self.common(new, None), access.flags());
        let (inode, fd, donated) = self.session.client.open_create_at(common, flags, name.as_bytes())?;
        Ok(Created::new(self.session.found(&inode), self.opened(fd, donated)))
    }

    fn mkdir(&self, name: Name<'_>, new: &NewFile) -> Result<Found> {
        let inode = self.session.client.mkdir_at(self.common(new, None), name.as_bytes())?;
        Ok(self.session.found(&inode))
    }

    fn mknod(&self, name: Name<'_>, new: &NewFile, file_type: FileType, device: (u32, u32)) -> Result<Found> {
        let ((major, minor), common) = (device, self.common(new, Some(file_type)));
        let inode = self.session.client.mknod_at(common, minor, major, name.as_bytes())?;
        Ok(self.session.found(&inode))
    }

    fn symlink(&self, name: Name<'_>, target: &[u8], new: &NewFile) -> Result<Found> {
        let inode = self.session.client.symlink_at(self.fd, new.uid, new.gid, name.as_bytes(), target)?;
        Ok(self.session.found(&inode))
    }

    fn link(&self, name: Name<'_>, target: &dyn ControlFile) -> Result<Found> {
        let target: &Self = target.downcast()?;
        let inode = self.session.client.link_at(self.fd, target.fd, name.as_bytes())?;
        Ok(self.session.found(&inode))
    }

    fn unlink(&self, name: Name<'_>, what: Unlink) -> Result<()> {
        Ok(self.session.client.unlink_at(self.fd, name.as_bytes(), what)?)
    }

    fn rename(&self, name: Name<'_>, new_dir: &dyn ControlFile, new_name: Name<'_>, flags: RenameFlags) -> Result<()> {
        let new_dir: &Self = new_dir.downcast()?;
        Ok(self.session.client.rename_at(self.fd, name.as_bytes(), new_dir.fd, new_name.as_bytes(), flags.bits())?)
    }

    fn read_link(&self) -> Result<Vec<u8>> {
        Ok(self.session.client.read_link_at(self.fd)?)
    }

    fn stat_fs(&self) -> Result<StatFs> {
        Ok(self.session.client.fstatfs(self.fd)?)
    }

    fn get_xattr(&self, name: &[u8]) -> Result<Vec<u8>> {
        Ok(self.session.client.get_xattr(self.fd, name, 0)?)
    }

    fn set_xattr(&self, name: &[u8], value: &[u8], flags: XattrFlags) -> Result<()> {
        Ok(self.session.client.set_xattr(self.fd, name, value, flags.bits())?)
    }

    fn list_xattr(&self) -> Result<Vec<Vec<u8>>> {
        Ok(self.session.client.list_xattr(self.fd, 0)?)
    }

    fn remove_xattr(&self, name: &[u8]) -> Result<()> {
        Ok(self.session.client.remove_xattr(self.fd, name)?)
    }

    fn connect(&self, kind: Option<SocketType>, credentials: Option<Credentials>) -> Result<OwnedFd> {
        let (client, kind) = (&self.session.client, kind.map_or(0, socket_type));
        Ok(match credentials {
            None => client.connect_at(self.fd, kind)?,
            Some(Credentials { uid, gid, .. }) => client.connect_with_creds(self.fd, kind, uid, gid)?,
        })
    }

    fn bind(&self, name: Name<'_>, new: &NewFile, kind: SocketType) -> Result<Bound> {
        let common = self.common(new, Some(FileType::Socket));
        let (inode, fd, donated) = self.session.client.bind_at(common, socket_type(kind), name.as_bytes())?;
        let socket = RemoteSocket { session: self.session.clone(), fd };
        Ok(Bound::new(self.session.found(&inode), Box::new(socket), donated))
    }
}

/// A bound-socket FD of the server.
struct RemoteSocket {
    session: Arc<Session>,
    fd: FdId,
}

impl BoundSocket for RemoteSocket {
    fn listen(&self, backlog: i32) -> Result<()> {
        Ok(self.session.client.listen(self.fd, backlog)?)
    }

    fn accept(&self) -> Result<OwnedFd> {
        Ok(self.session.client.accept(self.fd)?)
    }
}

impl Drop for RemoteSocket {
    fn drop(&mut self) {
        self.session.close(self.fd);
    }
}
