//! What has become of a change whose connection has ended before its answer came.
//!
//! The server has done it, or will never do it: it has ended. So what is there now tells, by names and
//! [identities](super::identity). A change that has not happened is made again. One that has is answered as the server
//! would have answered it, if it was this mount's: somebody else may have made a directory or a file of the same name
//! meanwhile, who would then share with us what either has to himself. Where nobody else changes the files there is no
//! such doubt, and none about links and symbolic links either, which say by what they lead to whose they are. Who has
//! removed a name makes no difference.

use lisafs::backend::{Access, Errno, FileType, NO_ID, NewFile, RenameFlags, Result, SetStat, Statx, Unlink};
use lisafs::client::Client;
use lisafs::wire::{FdId, Inode};

use super::identity::Identity;

/// What has become of a change.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome<T> {
    /// It has happened, and this is its answer.
    Done(T),
    /// It has not, or what is there is as before: it can be made again.
    NotDone,
    /// What is there says nothing.
    Unknown,
}

/// The error of creating a file that is there, of which nobody knows who has created it.
pub(crate) const UNSURE: Errno = Errno::CONNRESET;

/// A name on a connection.
#[derive(Clone, Copy)]
pub(super) struct At<'a> {
    pub(super) client: &'a Client,
    pub(super) dir: FdId,
    pub(super) name: &'a [u8],
}

/// A file that was looked up, whose control FD is given back unless it is taken.
struct Found<'a> {
    client: &'a Client,
    inode: Option<Inode>,
}

impl Found<'_> {
    fn take(mut self) -> Option<Inode> {
        self.inode.take()
    }
}

impl Drop for Found<'_> {
    fn drop(&mut self) {
        if let Some(inode) = self.inode.take() {
            self.client.close(inode.control_fd);
        }
    }
}

impl<'a> At<'a> {
    fn look(&self) -> Result<Option<(Found<'a>, Inode)>> {
        match self.client.lookup(self.dir, self.name) {
            Ok(inode) => Ok(Some((Found { client: self.client, inode: Some(inode) }, inode))),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Which file is there.
    pub(super) fn stat(&self) -> Result<Option<Statx>> {
        Ok(self.look()?.map(|(_, inode)| inode.stat))
    }

    /// Of making `new` of type `file_type` there.
    pub(super) fn made(&self, file_type: FileType, new: &NewFile, is_exclusive: bool) -> Result<Outcome<Inode>> {
        let Some((found, inode)) = self.look()? else { return Ok(Outcome::NotDone) };
        if inode.stat.file_type() != Some(file_type) {
            return Ok(Outcome::NotDone);
        }
        // Nobody has written to what is new.
        if !is_exclusive || file_type == FileType::Regular && inode.stat.size > 0 {
            return Ok(Outcome::Unknown);
        }
        Ok(done(found.take().map(|inode| self.complete(inode, new)).transpose()?))
    }

    /// Of creating a file there and opening it for `access`.
    pub(super) fn created(
        &self,
        access: Access,
        new: &NewFile,
        is_exclusive: bool,
    ) -> Result<Outcome<(Inode, FdId, Option<std::os::fd::OwnedFd>)>> {
        let inode = match self.made(FileType::Regular, new, is_exclusive)? {
            Outcome::Done(inode) => inode,
            Outcome::NotDone => return Ok(Outcome::NotDone),
            // Whoever does not mind whose it is can open it.
            Outcome::Unknown => return Err(UNSURE.because("the server has ended, and it may be another's")),
        };
        match self.client.open_at(inode.control_fd, access.flags()) {
            Ok((fd, donated)) => Ok(Outcome::Done((inode, fd, donated))),
            Err(errno) => {
                self.client.close(inode.control_fd);
                if errno != Errno::ACCESS {
                    return Err(errno.into());
                }
                // Its mode allows opening it to nobody but whom it was created by. Nobody has seen it.
                self.client.unlink_at(self.dir, self.name, Unlink::File)?;
                Ok(Outcome::NotDone)
            }
        }
    }

    /// Of making a symbolic link to `target` there.
    pub(super) fn linked_to(&self, target: &[u8], new: &NewFile) -> Result<Outcome<Inode>> {
        let Some((found, inode)) = self.look()? else { return Ok(Outcome::NotDone) };
        if inode.stat.file_type() != Some(FileType::Symlink) || self.client.read_link_at(inode.control_fd)? != target {
            return Ok(Outcome::NotDone);
        }
        Ok(done(found.take().map(|inode| self.complete(inode, new)).transpose()?))
    }

    /// Of making a link to the file with `identity` there.
    pub(super) fn linked(&self, identity: &Identity) -> Result<Outcome<Inode>> {
        let Some((found, inode)) = self.look()? else { return Ok(Outcome::NotDone) };
        if !Identity::of(&inode.stat).is(identity) {
            return Ok(Outcome::NotDone);
        }
        Ok(done(found.take()))
    }

    /// Of removing the file with `identity` from there.
    pub(super) fn removed(&self, identity: Option<&Identity>) -> Result<Outcome<()>> {
        let now = self.stat()?.map(|stat| Identity::of(&stat));
        Ok(match (now, identity) {
            (None, _) => Outcome::Done(()),
            (Some(now), Some(before)) if now.is(before) => Outcome::NotDone,
            _ => Outcome::Unknown,
        })
    }

    /// Gives a new file, which the server may have made without completing it, its owner, its group and set-id bits.
    fn complete(&self, mut inode: Inode, new: &NewFile) -> Result<Inode> {
        const SET_IDS: u16 = 0o6000;
        let other = |wanted: u32, is: u32| Some(wanted).filter(|id| *id != NO_ID && *id != is);
        let (uid, gid) = (other(new.uid, inode.stat.uid), other(new.gid, inode.stat.gid));
        let missing = new.mode.bits() & SET_IDS & !inode.stat.mode;
        let is_link = inode.stat.file_type() == Some(FileType::Symlink);
        let mode = (missing != 0 && !is_link).then(|| (inode.stat.mode & 0o7777 | missing).into());
        if uid.is_none() && gid.is_none() && mode.is_none() {
            return Ok(inode);
        }
        let set = |change: SetStat| -> Result<()> {
            let done = self.client.set_stat(inode.control_fd, &change)?;
            done.map_err(|failure| failure.error)
        };
        // A change of owner takes set-id bits away.
        let completed = set(SetStat::new().uid(uid).gid(gid))
            .and_then(|()| if mode.is_some() { set(SetStat::new().mode(mode)) } else { Ok(()) })
            .and_then(|()| Ok(self.client.fstat(inode.control_fd)?));
        inode.stat = completed.inspect_err(|_| self.client.close(inode.control_fd))?;
        Ok(inode)
    }
}

fn done<T>(answer: Option<T>) -> Outcome<T> {
    answer.map_or(Outcome::NotDone, Outcome::Done)
}

/// Of renaming the first file in `before` to where the second was, if those are there `now`.
pub(super) fn renamed(flags: RenameFlags, before: [Option<&Identity>; 2], now: [Option<&Statx>; 2]) -> Outcome<()> {
    let is = |identity: Option<&Identity>, now: Option<&Statx>| {
        identity.zip(now).is_some_and(|(identity, now)| Identity::of(now).is(identity))
    };
    let ([source, target], [old, new]) = (before, now);
    let (has_moved, has_stayed) = (is(source, new), is(source, old));
    let is_done = match flags {
        RenameFlags::Replace | RenameFlags::NoReplace => has_moved && old.is_none(),
        RenameFlags::Exchange => has_moved && is(target, old),
        RenameFlags::Whiteout | RenameFlags::WhiteoutNoReplace => {
            has_moved && old.is_some_and(|old| old.file_type() == Some(FileType::CharDevice))
        }
        _ => return Outcome::Unknown,
    };
    let is_as_before = has_stayed && (flags != RenameFlags::Exchange || is(target, new));
    match (is_done, is_as_before) {
        (true, _) => Outcome::Done(()),
        (false, true) => Outcome::NotDone,
        (false, false) => Outcome::Unknown,
    }
}
