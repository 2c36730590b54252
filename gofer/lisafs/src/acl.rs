//! POSIX access control lists, in the form in which Linux has them as extended attributes.
//!
//! A file's *access list* says more about who may use it than its mode does, which shows the most that the list grants
//! to anybody but the owner and others (the *mask*) in the place of the group's rights. A directory's *default list* is
//! what new files in it begin with, in the place of their creator's umask.
//!
//! For backends that keep lists themselves, and for clients that have to know what the group's own rights are.

use crate::backend::{Errno, Mode};

/// The attribute that is a file's access list.
pub const ACCESS: &[u8] = b"system.posix_acl_access";

/// The attribute that is a directory's default list.
pub const DEFAULT: &[u8] = b"system.posix_acl_default";

/// Whether `name` is the attribute of a list.
pub fn is_list(name: &[u8]) -> bool {
    name == ACCESS || name == DEFAULT
}

/// An access control list.
///
/// ```
/// use lisafs::acl::{AccessList, Entry, Who};
///
/// # fn main() -> Result<(), lisafs::Errno> {
/// let list = AccessList::new([
///     Entry::new(Who::Owner, 6),
///     Entry::new(Who::User(1234), 4),
///     Entry::new(Who::Group, 0),
///     Entry::new(Who::Mask, 4),
///     Entry::new(Who::Others, 0),
/// ])?;
/// assert_eq!(list.mode(), 0o640.into());
/// assert_eq!(list.owning_group_mode(), 0o600.into());
/// assert_eq!(AccessList::from_value(&list.to_value())?, Some(list));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessList(Vec<Entry>);

/// What a list grants to somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// To whom.
    pub who: Who,
    /// Read (4), write (2) and execute (1).
    pub rights: u16,
}

/// To whom an entry grants something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// The file's owner.
    Owner,
    /// Another user.
    User(u32),
    /// The file's group.
    Group,
    /// Another group.
    OtherGroup(u32),
    /// The most that users and groups of the list and the file's group get.
    Mask,
    /// Everybody else.
    Others,
}

/// In front of the entries.
const VERSION: [u8; 4] = 2_u32.to_le_bytes();
/// Bytes of an entry: what it is, its rights, and the user or group.
const ENTRY: usize = 8;
/// The user or group of an entry that needs none.
const UNNAMED: u32 = u32::MAX;

impl Entry {
    /// Grants `rights` (read 4, write 2, execute 1) to `who`.
    pub const fn new(who: Who, rights: u16) -> Self {
        Entry { who, rights }
    }

    fn to_bytes(self) -> [u8; ENTRY] {
        let (tag, id): (u16, u32) = match self.who {
            Who::Owner => (0x01, UNNAMED),
            Who::User(id) => (0x02, id),
            Who::Group => (0x04, UNNAMED),
            Who::OtherGroup(id) => (0x08, id),
            Who::Mask => (0x10, UNNAMED),
            Who::Others => (0x20, UNNAMED),
        };
        let mut bytes = [0; ENTRY];
        bytes[..2].copy_from_slice(&tag.to_le_bytes());
        bytes[2..4].copy_from_slice(&self.rights.to_le_bytes());
        bytes[4..].copy_from_slice(&id.to_le_bytes());
        bytes
    }

    fn from_bytes(bytes: [u8; ENTRY]) -> Option<Self> {
        let [tag_low, tag_high, low, high, id @ ..] = bytes;
        let id = u32::from_le_bytes(id);
        let who = match u16::from_le_bytes([tag_low, tag_high]) {
            0x01 => Who::Owner,
            0x02 => Who::User(id),
            0x04 => Who::Group,
            0x08 => Who::OtherGroup(id),
            0x10 => Who::Mask,
            0x20 => Who::Others,
            _ => return None,
        };
        Some(Entry { who, rights: u16::from_le_bytes([low, high]) })
    }
}

impl Who {
    /// Its place in a list; of those with a number there can be several.
    fn rank(self) -> u8 {
        match self {
            Who::Owner => 0,
            Who::User(_) => 1,
            Who::Group => 2,
            Who::OtherGroup(_) => 3,
            Who::Mask => 4,
            Who::Others => 5,
        }
    }

    fn is_named(self) -> bool {
        matches!(self, Who::User(_) | Who::OtherGroup(_))
    }
}

impl AccessList {
    /// The list of `entries`; `EINVAL` if they are not in order, or if one is missing that there must be.
    pub fn new(entries: impl IntoIterator<Item = Entry>) -> Result<Self, Errno> {
        let entries: Vec<Entry> = entries.into_iter().collect();
        let is_ordered = entries.windows(2).all(|pair| match pair {
            [first, next] if first.who.rank() == next.who.rank() => next.who.is_named(),
            [first, next] => first.who.rank() < next.who.rank(),
            _ => true,
        });
        let has = |who: Who| entries.iter().any(|entry| entry.who == who);
        let is_whole = [Who::Owner, Who::Group, Who::Others].into_iter().all(has)
            && (has(Who::Mask) || !entries.iter().any(|entry| entry.who.is_named()));
        let is_sound =
            |entry: &Entry| entry.rights <= 7 && !matches!(entry.who, Who::User(UNNAMED) | Who::OtherGroup(UNNAMED));
        if is_ordered && is_whole && entries.iter().all(is_sound) { Ok(AccessList(entries)) } else { Err(Errno::INVAL) }
    }

    /// The list that is an attribute's value. `None`: the value says that there is no list. `EINVAL` if it is none,
    /// `EOPNOTSUPP` if it has another form.
    pub fn from_value(value: &[u8]) -> Result<Option<Self>, Errno> {
        if value.is_empty() {
            return Ok(None);
        }
        let (version, rest) = value.split_first_chunk().ok_or(Errno::INVAL)?;
        if *version != VERSION {
            return Err(Errno::OPNOTSUPP);
        }
        let (entries, rest) = rest.as_chunks();
        if !rest.is_empty() {
            return Err(Errno::INVAL);
        }
        if entries.is_empty() {
            return Ok(None);
        }
        let entries: Option<Vec<Entry>> = entries.iter().map(|bytes| Entry::from_bytes(*bytes)).collect();
        Self::new(entries.ok_or(Errno::INVAL)?).map(Some)
    }

    /// The attribute's value.
    pub fn to_value(&self) -> Vec<u8> {
        let mut value = VERSION.to_vec();
        value.extend(self.0.iter().flat_map(|entry| entry.to_bytes()));
        value
    }

    /// The entries, in the order of the value.
    pub fn entries(&self) -> impl Iterator<Item = Entry> {
        self.0.iter().copied()
    }

    /// Whether the mode alone says as much.
    pub fn is_minimal(&self) -> bool {
        self.0.iter().all(|entry| matches!(entry.who, Who::Owner | Who::Group | Who::Others))
    }

    /// The mode that a file with this list shows: owner, mask, others.
    pub fn mode(&self) -> Mode {
        let group = self.rights(Who::Mask).unwrap_or_else(|| self.rights(Who::Group).unwrap_or(0));
        self.with_group(group)
    }

    /// The same with the rights that the file's group has. It grants no more than the list does, to nobody.
    pub fn owning_group_mode(&self) -> Mode {
        let group = self.rights(Who::Group).unwrap_or(0) & self.rights(Who::Mask).unwrap_or(7);
        self.with_group(group)
    }

    fn with_group(&self, group: u16) -> Mode {
        let others = self.rights(Who::Others).unwrap_or(0);
        Mode::new(self.rights(Who::Owner).unwrap_or(0) << 6 | group << 3 | others)
    }

    fn rights(&self, who: Who) -> Option<u16> {
        self.0.iter().find(|entry| entry.who == who).map(|entry| entry.rights)
    }

    /// What becomes of the list when `mode` is set: that is the mode it shows from now on.
    pub fn set_mode(&mut self, mode: Mode) {
        self.change(mode, |_, wanted| wanted);
    }

    /// The list that a new file begins with in a directory of which this is the default list. `mode` is what its
    /// creator asks for, without an umask.
    #[must_use]
    pub fn inherited(&self, mode: Mode) -> Self {
        let mut list = self.clone();
        list.change(mode, |granted, wanted| granted & wanted);
        list
    }

    /// Gives those of whom `mode` speaks the rights that `combine` makes of what they have and what it says.
    fn change(&mut self, mode: Mode, combine: impl Fn(u16, u16) -> u16) {
        let has_mask = self.rights(Who::Mask).is_some();
        for entry in &mut self.0 {
            let shift = match entry.who {
                Who::Owner => 6,
                Who::Mask => 3,
                Who::Group if !has_mask => 3,
                Who::Others => 0,
                Who::Group | Who::User(_) | Who::OtherGroup(_) => continue,
            };
            entry.rights = combine(entry.rights, mode.bits() >> shift & 7);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(entries: &[(Who, u16)]) -> Result<AccessList, Errno> {
        AccessList::new(entries.iter().map(|(who, rights)| Entry::new(*who, *rights)))
    }

    const FULL: [(Who, u16); 7] = [
        (Who::Owner, 7),
        (Who::User(1), 6),
        (Who::User(2), 4),
        (Who::Group, 5),
        (Who::OtherGroup(1), 1),
        (Who::Mask, 6),
        (Who::Others, 1),
    ];

    #[test]
    fn lists_are_whole_and_in_order() {
        assert!(list(&FULL).is_ok());
        for missing in [Who::Owner, Who::Group, Who::Mask, Who::Others] {
            let rest: Vec<_> = FULL.into_iter().filter(|(who, _)| *who != missing).collect();
            assert_eq!(list(&rest), Err(Errno::INVAL), "{missing:?}");
        }
        let mut reversed = FULL;
        reversed.reverse();
        assert_eq!(list(&reversed), Err(Errno::INVAL));
        let mut twice = FULL.to_vec();
        twice.insert(0, FULL[0]);
        assert_eq!(list(&twice), Err(Errno::INVAL));
        assert_eq!(list(&[(Who::Owner, 8), (Who::Group, 0), (Who::Others, 0)]), Err(Errno::INVAL));
        assert_eq!(list(&[]), Err(Errno::INVAL));
    }

    #[test]
    fn values_are_those_of_the_kernel() {
        let full = list(&FULL).unwrap();
        let value = full.to_value();
        assert_eq!(value[..12], [2, 0, 0, 0, 1, 0, 7, 0, 255, 255, 255, 255]);
        assert_eq!(value[12..20], [2, 0, 6, 0, 1, 0, 0, 0]);
        assert_eq!(AccessList::from_value(&value), Ok(Some(full)));
        assert_eq!(AccessList::from_value(b""), Ok(None));
        assert_eq!(AccessList::from_value(&VERSION), Ok(None));
        assert_eq!(AccessList::from_value(&[1, 0, 0, 0]), Err(Errno::OPNOTSUPP));
        for bad in [&value[..3], &value[..value.len() - 1], &value[..12], &[2, 0, 0, 0, 3, 0, 7, 0, 0, 0, 0, 0]] {
            assert_eq!(AccessList::from_value(bad), Err(Errno::INVAL), "{bad:?}");
        }
    }

    #[test]
    fn the_mode_shows_the_mask() {
        let full = list(&FULL).unwrap();
        assert_eq!((full.mode(), full.owning_group_mode()), (Mode::new(0o761), Mode::new(0o741)));
        assert!(!full.is_minimal());
        let minimal = list(&[(Who::Owner, 6), (Who::Group, 4), (Who::Others, 0)]).unwrap();
        assert_eq!((minimal.mode(), minimal.owning_group_mode()), (Mode::new(0o640), Mode::new(0o640)));
        assert!(minimal.is_minimal());
    }

    #[test]
    fn a_mode_that_is_set_changes_the_mask() {
        let mut full = list(&FULL).unwrap();
        full.set_mode(Mode::new(0o4537));
        assert_eq!(full.mode(), Mode::new(0o537));
        assert_eq!(full.rights(Who::Group), Some(5), "the group's own rights stay");
        let mut minimal = list(&[(Who::Owner, 6), (Who::Group, 4), (Who::Others, 0)]).unwrap();
        minimal.set_mode(Mode::new(0o070));
        assert_eq!(minimal.rights(Who::Group), Some(7));
    }

    #[test]
    fn a_new_file_gets_what_both_grant() {
        let inherited = list(&FULL).unwrap().inherited(Mode::new(0o646));
        assert_eq!(inherited.mode(), Mode::new(0o640));
        assert_eq!(inherited.rights(Who::User(1)), Some(6), "which the mask limits");
        let minimal = list(&[(Who::Owner, 7), (Who::Group, 5), (Who::Others, 0)]).unwrap();
        assert_eq!(minimal.inherited(Mode::new(0o666)).mode(), Mode::new(0o640));
    }
}
