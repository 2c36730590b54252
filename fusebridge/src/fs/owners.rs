//! Owners and permissions as the mount shows them, where that is not as the server has them.

use lisafs::Errno;
use lisafs::backend::{Mode, SetStat};
use lisafs::wire::{FileType, Statx};

use super::bridge::Result;
use super::caller::Caller;

const SET_IDS: u16 = 0o6000;
const PERMISSIONS: u16 = 0o777;

/// What the mount shows of owners and permissions. By default what the server says.
#[derive(Clone, Debug, Default)]
pub struct Owners {
    /// Users.
    pub users: Ids,
    /// Groups.
    pub groups: Ids,
    /// What all files are shown to permit is the rest of 777.
    pub umask: Option<u16>,
}

/// Which numbers of users or groups are shown instead of others.
#[derive(Clone, Debug, Default)]
pub struct Ids {
    /// Numbers of the server, and what they are in the mount. Neither occurs twice.
    pub pairs: Vec<(u32, u32)>,
    /// What all are in the mount.
    pub forced: Option<u32>,
    /// Whom new files belong to on the server, instead of who makes them.
    pub created: Option<u32>,
}

impl Ids {
    fn is_plain(&self) -> bool {
        self.pairs.is_empty() && self.forced.is_none() && self.created.is_none()
    }

    /// What `id` of the server is in the mount.
    fn shown(&self, id: u32) -> u32 {
        let mapped = || self.pairs.iter().find(|(server, _)| *server == id).map(|(_, mount)| *mount);
        self.forced.or_else(mapped).unwrap_or(id)
    }

    /// What `id` of the mount is on the server.
    fn meant(&self, id: u32) -> u32 {
        self.pairs.iter().find(|(_, mount)| *mount == id).map_or(id, |(server, _)| *server)
    }

    /// Whom new files of `id` belong to on the server.
    fn of_new(&self, id: u32) -> u32 {
        self.created.unwrap_or_else(|| self.meant(id))
    }

    /// The new owner on the server if a file is to get `id`; `None`: it stays, as there is no other in the mount.
    fn given(&self, id: Option<u32>) -> Result<Option<u32>> {
        match (id, self.forced) {
            (Some(id), Some(forced)) if id == forced => Ok(None),
            (Some(_), Some(_)) => Err(Errno::PERM),
            (id, _) => Ok(id.map(|id| self.meant(id))),
        }
    }
}

impl Owners {
    /// Whether everything is as the server has it.
    pub(super) fn are_plain(&self) -> bool {
        self.umask.is_none() && self.users.is_plain() && self.groups.is_plain()
    }

    /// Attributes as the mount shows them.
    pub(super) fn shown(&self, mut stat: Statx) -> Statx {
        if self.are_plain() {
            return stat;
        }
        (stat.uid, stat.gid) = (self.users.shown(stat.uid), self.groups.shown(stat.gid));
        if stat.file_type() != Some(FileType::Symlink) {
            stat.mode = self.shown_mode(stat.mode);
        }
        stat
    }

    fn shown_mode(&self, mode: u16) -> u16 {
        self.umask.map_or(mode, |umask| mode & !PERMISSIONS | PERMISSIONS & !umask)
    }

    /// Who asks, as the server knows him.
    pub(super) fn asking(&self, caller: Caller) -> Caller {
        Caller { uid: self.users.of_new(caller.uid), gid: self.groups.of_new(caller.gid), ..caller }
    }

    /// The mode of a new file: whose it will be on the server is not who makes it, so nobody may run it as its owner.
    pub(super) fn of_new(&self, mode: u32) -> u32 {
        if self.are_plain() { mode } else { mode & !u32::from(SET_IDS) }
    }

    /// What the server is to change so that the mount shows `change`. `mode` is the file's mode there.
    pub(super) fn meant(&self, change: &SetStat, mode: impl FnOnce() -> Result<u16>) -> Result<SetStat> {
        if self.are_plain() {
            return Ok(*change);
        }
        let mut meant = change.uid(self.users.given(change.uid)?).gid(self.groups.given(change.gid)?);
        if let Some(new) = change.mode {
            meant.mode = Some(Mode::new(self.meant_mode(new.bits(), mode()?)));
        }
        Ok(meant)
    }

    /// `new` for a file that has `mode` on the server. As the kernel writes back what it was shown when only set-id
    /// bits are to go, permissions that are those shown stay; and set-id bits never come, as in a new file.
    fn meant_mode(&self, new: u16, mode: u16) -> u16 {
        let is_shown = new & PERMISSIONS == self.shown_mode(mode) & PERMISSIONS;
        let permissions = if is_shown { mode } else { new } & PERMISSIONS;
        permissions | new & !PERMISSIONS & (mode | !SET_IDS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owners() -> Owners {
        let users = Ids { pairs: vec![(1, 11), (11, 1)], ..Ids::default() };
        let groups = Ids { forced: Some(7), created: Some(8), ..Ids::default() };
        Owners { users, groups, umask: Some(0o27) }
    }

    #[test]
    fn without_options_everything_is_as_it_is() {
        let (stat, change) =
            (Statx { mode: 0o104_711, uid: 1, ..Statx::default() }, SetStat::new().mode(Mode::new(0o6755)));
        let plain = Owners::default();
        assert_eq!(plain.shown(stat), stat);
        assert_eq!(plain.meant(&change.uid(3), || Err(Errno::IO)), Ok(change.uid(3)));
        assert_eq!(plain.of_new(0o104_755), 0o104_755);
    }

    #[test]
    fn files_are_shown_as_others() {
        let shown = owners().shown(Statx { mode: 0o104_604, uid: 11, gid: 3, ..Statx::default() });
        assert_eq!((shown.uid, shown.gid, shown.mode), (1, 7, 0o104_750));
        assert_eq!(owners().shown(Statx { mode: 0o120_777, uid: 2, ..shown }).mode, 0o120_777, "a symbolic link");
    }

    #[test]
    fn new_files_are_of_whom_the_maker_stands_for() {
        let of = |uid, gid| (owners().asking(Caller::new(uid, gid)).uid, owners().asking(Caller::new(uid, gid)).gid);
        assert_eq!((of(11, 7), of(5, 5)), ((1, 8), (5, 8)));
        assert_eq!(owners().of_new(0o106_755), 0o100_755);
    }

    #[test]
    fn owners_are_changed_to_what_is_meant() {
        let meant = |change: SetStat| owners().meant(&change, || Err(Errno::IO));
        assert_eq!(meant(SetStat::new().uid(11).gid(7).size(5)), Ok(SetStat::new().uid(1).size(5)));
        assert_eq!(meant(SetStat::new().gid(8)), Err(Errno::PERM));
    }

    #[test]
    fn modes_lose_set_id_bits_and_never_get_any() {
        let meant = |new, mode| owners().meant_mode(new, mode);
        assert_eq!(meant(0o750, 0o6604), 0o604, "only the bits go");
        assert_eq!(meant(0o4750, 0o604), 0o604, "they do not come");
        assert_eq!(meant(0o1700, 0o604), 0o1700, "the permissions change");
    }
}
