//! Access control lists.
//!
//! Where the server keeps them, the kernel obeys them: it asks for the list of a file as for any attribute, when
//! somebody who is not the owner wants to use it and the mode does not refuse the group's rights anyway. The mode shows
//! the list's mask in their place; so where the kernel gets no lists, it must be told what the file's group may
//! instead.

use std::sync::atomic::{AtomicBool, Ordering};

use lisafs::Errno;
use lisafs::acl::{self, AccessList};
use lisafs::backend::{Mode, SetStat};
use lisafs::client::Client;
use lisafs::wire::{FdId, FileType, MessageId, Statx};

use super::caller::{Caller, Capability};

const SET_GID: u16 = 0o2000;

/// Whose business lists are.
#[derive(Debug)]
pub(super) struct AccessLists {
    /// Files of the server can have them.
    are_kept: bool,
    are_obeyed: AtomicBool,
}

impl AccessLists {
    /// What the server says about the list of its root, `root`.
    pub(super) fn of(client: &Client, root: FdId) -> Self {
        // What is only wrong for the moment must not open files to whom lists refuse.
        let has_none = |error| matches!(error, Errno::OPNOTSUPP | Errno::NOSYS | Errno::PERM | Errno::ACCESS);
        let are_kept = client.supports(MessageId::FGET_XATTR)
            && client.get_xattr(root, acl::ACCESS, 0).map_or_else(|error| !has_none(error), |_| true);
        AccessLists { are_kept, are_obeyed: AtomicBool::new(false) }
    }

    /// Whether files of the server can have access control lists.
    pub(super) fn are_kept(&self) -> bool {
        self.are_kept
    }

    /// The kernel obeys lists from now on.
    pub(super) fn obey(&self) {
        self.are_obeyed.store(true, Ordering::Relaxed);
    }

    /// Whether the kernel gets lists.
    pub(super) fn are_passed(&self) -> bool {
        self.are_obeyed.load(Ordering::Relaxed)
    }

    /// `stat` of the file `fd` as the kernel is told it.
    pub(super) fn told(&self, client: &Client, fd: FdId, stat: Statx) -> Result<Statx, Errno> {
        let is_shown = stat.mode & 0o070 == 0 || stat.file_type() == Some(FileType::Symlink);
        if !self.are_kept || self.are_passed() || is_shown {
            return Ok(stat);
        }
        let list = match client.get_xattr(fd, acl::ACCESS, 0) {
            Ok(value) => AccessList::from_value(&value)?,
            Err(Errno::NODATA | Errno::OPNOTSUPP) => None,
            Err(error) => return Err(error),
        };
        let Some(list) = list else { return Ok(stat) };
        Ok(Statx { mode: stat.mode & !0o777 | list.owning_group_mode().bits(), ..stat })
    }
}

/// Takes the set-group-ID bit of `fd`, which has got another list, if `caller` may not set it.
pub(super) fn end_set_gid(client: &Client, fd: FdId, caller: Caller) -> Result<(), Errno> {
    let stat = client.fstat(fd)?;
    if stat.mode & SET_GID == 0 || caller.is_in(stat.gid) || caller.is_capable(Capability::KeepSetIds) {
        return Ok(());
    }
    client.set_stat(fd, &SetStat::new().mode(Mode::new(stat.mode & !SET_GID))).map(drop)
}
