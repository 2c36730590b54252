//! Making files.

use lisafs::Errno;
use lisafs::backend::SetStat;
use lisafs::wire::{CreateCommon, FdId, FileType, Inode};

use super::bridge::{Bridge, Entry, Result, permissions};
use super::caller::Caller;
use super::flags::{ACCESS_MODE, EXCLUSIVE, TRUNCATE};
use super::handles::Handle;
use super::identity::NodeId;
use crate::reconnect::UNSURE;

const SET_GID: u32 = 0o2000;
const SET_IDS: u32 = 0o6000;

impl Bridge {
    /// Makes a directory.
    pub fn mkdir(&self, parent: NodeId, name: &[u8], mode: u32, caller: Caller) -> Result<Entry> {
        let (owner, inherits) = self.owner_in(parent, caller);
        let mode = if inherits { mode | SET_GID } else { mode };
        let dir = self.control(parent)?;
        let common = new_in(dir.id(), owner, permissions(mode).bits());
        let made = self.evictor.with_room(|| self.client.mkdir_at(common, name));
        let inode = self.settled(&[(parent, name)], made)?;
        self.made(parent, name, inode, mode)
    }

    /// Makes a file of any other type than directory and symbolic link.
    pub fn mknod(&self, parent: NodeId, name: &[u8], mode: u32, device: (u32, u32), caller: Caller) -> Result<Entry> {
        let (owner, _) = self.owner_in(parent, caller);
        let mode = self.policy.owners.of_new(mode);
        let dir = self.control(parent)?;
        let with_type = u16::try_from(mode).map_err(|_| Errno::INVAL)?;
        let common = new_in(dir.id(), owner, with_type);
        let made = self.evictor.with_room(|| self.client.mknod_at(common, device.1, device.0, name));
        let inode = self.settled(&[(parent, name)], made)?;
        self.made(parent, name, inode, mode)
    }

    /// Makes a symbolic link.
    pub fn symlink(&self, parent: NodeId, name: &[u8], target: &[u8], caller: Caller) -> Result<Entry> {
        let (owner, _) = self.owner_in(parent, caller);
        let dir = self.control(parent)?;
        let made = self.evictor.with_room(|| self.client.symlink_at(dir.id(), owner.uid, owner.gid, name, target));
        let inode = self.settled(&[(parent, name)], made)?;
        self.enter(parent, name, &inode)
    }

    /// Makes a hard link to `id`.
    pub fn link(&self, id: NodeId, parent: NodeId, name: &[u8]) -> Result<Entry> {
        let (target, dir) = (self.control(id)?, self.control(parent)?);
        let made = self.evictor.with_room(|| self.client.link_at(dir.id(), target.id(), name));
        // How many links it has is told with it.
        let made = made.inspect_err(|_| self.invalidator.attributes(id));
        let inode = self.settled(&[(parent, name)], made)?;
        self.enter(parent, name, &inode)
    }

    /// Creates a regular file and opens it, or opens the one that somebody else has just created unless `flags` has
    /// `O_EXCL`.
    pub fn create(
        &self,
        parent: NodeId,
        name: &[u8],
        mode: u32,
        flags: u32,
        caller: Caller,
    ) -> Result<(Entry, Handle)> {
        let (owner, _) = self.owner_in(parent, caller);
        let mode = self.policy.owners.of_new(mode);
        let dir = self.control(parent)?;
        let common = new_in(dir.id(), owner, permissions(mode).bits());
        let access = flags & ACCESS_MODE;
        match self.evictor.with_room(|| self.client.open_create_at(common, access, name)) {
            Ok((inode, open_fd, donated)) => {
                let handle = Handle::new(self.client.clone(), open_fd, donated, access, self.policy.io);
                let entry = self.made(parent, name, inode, mode)?;
                // The request to create has no room for that.
                let is_unread = self.no_atime(flags) == 0 || !handle.is_readable();
                let again = if is_unread { None } else { self.open(entry.id, flags & !TRUNCATE).ok() };
                Ok((entry, again.unwrap_or(handle)))
            }
            Err(Errno::EXIST | UNSURE) if flags & EXCLUSIVE == 0 => {
                let mut entry = self.lookup(parent, name)?;
                // With this answer the kernel looks again, and does what is right for a directory, or goes where a link
                // leads.
                let is_file = entry.stat.file_type() == Some(FileType::Regular);
                let opened = if is_file { self.open(entry.id, flags) } else { Err(Errno::STALE) };
                match opened {
                    Ok(handle) => {
                        if flags & TRUNCATE != 0 {
                            entry.stat = self.getattr(entry.id).unwrap_or(entry.stat);
                        }
                        Ok((entry, handle))
                    }
                    Err(error) => {
                        self.forget(entry.id, 1);
                        Err(error)
                    }
                }
            }
            Err(error) => self.settled(&[(parent, name)], Err(error)),
        }
    }

    /// Makes a new file known, after giving back set-id bits that a change of owner has cleared on some servers.
    fn made(&self, parent: NodeId, name: &[u8], mut inode: Inode, mode: u32) -> Result<Entry> {
        let lost = mode & SET_IDS & !u32::from(inode.stat.mode);
        if lost != 0 && inode.stat.file_type() != Some(FileType::Symlink) {
            // What is there besides may be as the directory's default list says.
            let change = SetStat::new().mode(permissions(lost | u32::from(inode.stat.mode)));
            // The file is there, with or without.
            if self.client.set_stat(inode.control_fd, &change).is_ok()
                && let Ok(stat) = self.client.fstat(inode.control_fd)
            {
                inode.stat = stat;
            }
        }
        self.enter(parent, name, &inode)
    }
}

/// A new file in `dir` of `owner`, whose umask takes permissions from it, of which the server is told.
fn new_in(dir: FdId, owner: Caller, mode: u16) -> CreateCommon {
    let umask = permissions(owner.umask).bits() & 0o777;
    CreateCommon::new(dir, owner.uid, owner.gid, mode & !umask).masked(mode & umask)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_umask_takes_is_told() {
        let owner = Caller { umask: 0o27, ..Caller::new(1, 2) };
        let expected = CreateCommon::new(FdId(5), 1, 2, 0o106_750).masked(0o27);
        assert_eq!(new_in(FdId(5), owner, 0o106_777), expected);
        assert_eq!(new_in(FdId(5), owner, 0o640), CreateCommon::new(FdId(5), 1, 2, 0o640));
    }
}
